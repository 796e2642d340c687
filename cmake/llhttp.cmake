# llhttp, the HTTP/1.1 parser of Node.js. Debian ships its C sources (package node-llhttp), not a
# library, so it is compiled here, with its strict tables and without our warnings. Its library is
# not named like those of our rooms: its symbols are its own.
find_path(LLHTTP_SOURCE llhttp.c PATHS /usr/share/llhttp NO_CMAKE_FIND_ROOT_PATH REQUIRED)
find_path(LLHTTP_INCLUDE llhttp.h PATHS /usr/share/include/llhttp NO_CMAKE_FIND_ROOT_PATH REQUIRED)
add_library(bv_llhttp STATIC ${LLHTTP_SOURCE}/api.c ${LLHTTP_SOURCE}/http.c
                             ${LLHTTP_SOURCE}/llhttp.c)
set_target_properties(bv_llhttp PROPERTIES OUTPUT_NAME llhttp)
target_compile_options(bv_llhttp PRIVATE -w)
target_compile_definitions(bv_llhttp PUBLIC LLHTTP_STRICT_MODE=1)
target_include_directories(bv_llhttp SYSTEM PUBLIC ${LLHTTP_INCLUDE})
