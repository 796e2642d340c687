# Builds the descriptions of languages (src/arena/languages) into the arena room as texts.
file(GLOB BV_LANGUAGES CONFIGURE_DEPENDS src/arena/languages/*.json)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${BV_LANGUAGES})
set(BV_LANGUAGE_ROWS "")
# By their names, so that c, which people look for, is before c-tcc.
set(BV_LANGUAGE_STEMS ${BV_LANGUAGES})
list(TRANSFORM BV_LANGUAGE_STEMS REPLACE "\\.json$" "")
list(SORT BV_LANGUAGE_STEMS)
foreach(stem IN LISTS BV_LANGUAGE_STEMS)
    set(path ${stem}.json)
    get_filename_component(name ${path} NAME)
    file(READ ${path} text)
    # Lists of CMake would lose these; descriptions have none.
    if(text MATCHES "[;\\]")
        message(FATAL_ERROR "${path}: no semicolons and no backslashes, please")
    endif()
    string(REPLACE "\"" "\\\"" text "${text}")
    string(REPLACE "\n" "\\n\"\n     \"" text "${text}")
    string(APPEND BV_LANGUAGE_ROWS "    {\"${name}\",\n     \"${text}\"},\n")
endforeach()
file(WRITE ${CMAKE_BINARY_DIR}/generated/languages.c.new
"#include \"arena/languages.h\"\n
const bv_language_text bv_language_texts[] = {
${BV_LANGUAGE_ROWS}};
const size_t bv_language_text_count = sizeof bv_language_texts / sizeof *bv_language_texts;
")
file(COPY_FILE ${CMAKE_BINARY_DIR}/generated/languages.c.new
     ${CMAKE_BINARY_DIR}/generated/languages.c ONLY_IF_DIFFERENT)
