# Files become arrays in the program. As a script (-DFILE= -DNAME= -DOUT=) it writes the C source of
# one; included, it defines bv_embed(TARGET NAME FILE), which gives TARGET `const char NAME[]`, NUL
# at its end, and `const size_t NAME_size`.
if(CMAKE_SCRIPT_MODE_FILE)
    file(READ ${FILE} bytes HEX)
    string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${bytes}")
    string(REGEX REPLACE "(('....',?){16})" "\\1\n" bytes "${bytes}")
    file(WRITE ${OUT}
         "#include <stddef.h>\n"
         "extern const char ${NAME}[];\nextern const size_t ${NAME}_size;\n"
         "const char ${NAME}[] = {${bytes}0};\n"
         "const size_t ${NAME}_size = sizeof ${NAME} - 1;\n")
    return()
endif()

set(BV_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE})
function(bv_embed target name file)
    set(out ${CMAKE_BINARY_DIR}/embedded/${name}.c)
    add_custom_command(
        OUTPUT ${out}
        COMMAND ${CMAKE_COMMAND} -DFILE=${file} -DNAME=${name} -DOUT=${out} -P ${BV_EMBED_SCRIPT}
        DEPENDS ${file} ${BV_EMBED_SCRIPT}
        COMMENT "" VERBATIM)
    target_sources(${target} PRIVATE ${out})
endfunction()
