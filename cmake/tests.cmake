# tests/ROOM/test_NAME.c becomes the program test_ROOM_NAME and the CTest test ROOM/NAME, labelled
# with its room; a name that ends in _slow is labelled slow too (left out under sanitizers).
# The target tests_ROOM builds the tests of a room.
# tests/cli/*.sh are run by bash with BEAVER (the program) and BEAVER_SOURCE (this folder) set.

function(bv_test_labels name room extra)
    set(labels ${room} ${extra})
    if(name MATCHES "_slow$")
        list(APPEND labels slow)
    endif()
    set_tests_properties(${name} PROPERTIES TIMEOUT 300 LABELS "${labels}" SKIP_RETURN_CODE 77)
endfunction()

if(CMOCKA_FOUND)
    foreach(room IN LISTS BV_ROOMS ITEMS cli)
        file(GLOB sources CONFIGURE_DEPENDS tests/${room}/test_*.c)
        foreach(source IN LISTS sources)
            get_filename_component(file ${source} NAME_WE)
            string(REGEX REPLACE "^test_" "" name ${file})
            set(program test_${room}_${name})
            add_executable(${program} ${source})
            target_include_directories(${program} PRIVATE tests)
            target_link_libraries(${program} PRIVATE bv_${room} PkgConfig::CMOCKA)
            target_compile_definitions(${program} PRIVATE BV_SOURCE="${CMAKE_SOURCE_DIR}")
            add_test(NAME ${room}/${name} COMMAND ${program})
            bv_test_labels(${room}/${name} ${room} "")
            list(APPEND programs_of_${room} ${program})
        endforeach()
        add_custom_target(tests_${room} DEPENDS ${programs_of_${room}})
    endforeach()
    # Hundreds of attacks, some of which use all of a machine until they are stopped.
    set_tests_properties(arena/attacks PROPERTIES TIMEOUT 900)
    # The reference beside the scanners that are written by hand.
    target_link_libraries(test_text_pieces PRIVATE PkgConfig::PCRE2)
else()
    message(STATUS "cmocka is not installed: no unit tests")
endif()

file(GLOB scripts CONFIGURE_DEPENDS tests/cli/*.sh)
foreach(script IN LISTS scripts)
    get_filename_component(name ${script} NAME_WE)
    add_test(NAME cli/${name} COMMAND bash ${script})
    bv_test_labels(cli/${name} cli "")
    set(environment BEAVER=$<TARGET_FILE:beaver> BEAVER_SOURCE=${CMAKE_SOURCE_DIR})
    if(CMAKE_CROSSCOMPILING_EMULATOR)
        string(REPLACE ";" " " emulator "${CMAKE_CROSSCOMPILING_EMULATOR}")
        list(APPEND environment "BEAVER_EMULATOR=${emulator}")
    endif()
    set_tests_properties(cli/${name} PROPERTIES ENVIRONMENT "${environment}")
endforeach()

find_package(Python3 COMPONENTS Interpreter)

# Instructions by function of small work, against the committed counts (x86-64 and 64-bit Arm, in
# release builds: the counts are those of optimized code).
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT BV_SANITIZE AND NOT CMAKE_CROSSCOMPILING)
    add_executable(ratchet_count tests/ratchet/count_instructions.c)
    add_executable(ratchet_workload tests/ratchet/workload.c)
    target_link_libraries(ratchet_workload PRIVATE bv_train)
    if(Python3_FOUND)
        add_test(NAME ratchet/instructions
                 COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tests/ratchet/ratchet.py
                         ${CMAKE_BINARY_DIR})
        bv_test_labels(ratchet/instructions ratchet "")
    endif()
endif()

# The rules of the house, checked like everything else (only in a native build without sanitizers:
# they read the tree, not the binaries).
if(Python3_FOUND AND NOT BV_SANITIZE AND NOT CMAKE_CROSSCOMPILING)
    add_test(NAME tidy/tree COMMAND ${Python3_EXECUTABLE}
                                    ${CMAKE_SOURCE_DIR}/tests/tidy/tidy.py ${CMAKE_SOURCE_DIR})
    add_test(NAME tidy/self COMMAND ${Python3_EXECUTABLE}
                                    ${CMAKE_SOURCE_DIR}/tests/tidy/test_tidy.py)
    bv_test_labels(tidy/tree tidy "")
    bv_test_labels(tidy/self tidy "")
endif()
