# Writes OUT (a header with BV_VERSION and BV_REVISION) if it would change.
execute_process(
    COMMAND git -C ${SOURCE} describe --always --dirty --tags
    OUTPUT_VARIABLE revision ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed)
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
