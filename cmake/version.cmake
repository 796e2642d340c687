# Writes OUT (a header with BV_VERSION and BV_REVISION) if it would change.
set(failed TRUE)
if(EXISTS "${SOURCE}/.git") # else it would be that of a repository around us
    execute_process(
        COMMAND git -C ${SOURCE} describe --always --dirty --tags
        OUTPUT_VARIABLE revision OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET
        RESULT_VARIABLE failed)
endif()
if(failed)
    set(revision "unknown")
endif()
set(text "/* Made by cmake/version.cmake. */\n")
string(APPEND text "#define BV_VERSION \"${VERSION}\"\n#define BV_REVISION \"${revision}\"\n")
set(old "")
if(EXISTS ${OUT})
    file(READ ${OUT} old)
endif()
if(NOT old STREQUAL text)
    file(WRITE ${OUT} "${text}")
endif()
