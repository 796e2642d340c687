# The program: src/cli over all rooms. Its version text is remade at each build, but the header only
# changes (and only then something is compiled) when `git describe` says something else.
file(GLOB BV_CLI_SOURCES CONFIGURE_DEPENDS src/cli/*.c)

set(BV_GENERATED ${CMAKE_BINARY_DIR}/generated)
add_custom_target(
    bv_version
    COMMAND ${CMAKE_COMMAND} -DSOURCE=${CMAKE_SOURCE_DIR} -DVERSION=${PROJECT_VERSION}
            -DOUT=${BV_GENERATED}/version.h -P ${CMAKE_SOURCE_DIR}/cmake/version.cmake
    BYPRODUCTS ${BV_GENERATED}/version.h
    COMMENT "" VERBATIM)

# All but main() is a library, so that tests can call it.
list(FILTER BV_CLI_SOURCES EXCLUDE REGEX "/main\\.c$")
add_library(bv_cli STATIC ${BV_CLI_SOURCES})
add_dependencies(bv_cli bv_version)
target_include_directories(bv_cli PUBLIC src PRIVATE ${BV_GENERATED})
target_link_libraries(bv_cli PUBLIC ${BV_ROOMS_ABOVE})

add_executable(beaver src/cli/main.c)
target_link_libraries(beaver PRIVATE bv_cli)
install(TARGETS beaver)
