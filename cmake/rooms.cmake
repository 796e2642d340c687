# The rooms in their order: a room may include and link only the rooms before it.
set(BV_ROOMS base kernel tensor nn text model data engine train http store arena report)

# ---- kernel levels: src/kernel/lanes/*.c is compiled once a level ----

# The references c and f64 stop at -O2: unrolling arrays of 16 lanes further costs compile time and
# gains nothing that anybody waits for.
set(BV_LEVELS c f64)
set(BV_LEVEL_FLAGS_c $<$<CONFIG:Release>:-O2>)
set(BV_LEVEL_FLAGS_f64 -DBV_LEVEL_F64=1 $<$<CONFIG:Release>:-O2>)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    list(APPEND BV_LEVELS avx2 avx512)
    set(BV_LEVEL_FLAGS_avx2 -DBV_LEVEL_AVX2=1 -mavx2 -mfma -mf16c)
    set(BV_LEVEL_FLAGS_avx512
        -DBV_LEVEL_AVX512=1 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512bf16 -mavx512vnni
        -mfma -mf16c -mprefer-vector-width=512)
    # What is linked in, for the dispatcher; whether the CPU has it is asked when the program runs.
    set(BV_HAVE BV_HAVE_AVX2=1 BV_HAVE_AVX512=1)
    # AVX-512 made of AVX2's instructions, for tests. More optimization would take minutes.
    option(BV_EMULATE_AVX512 "Compile the kernels of AVX-512 for CPUs with AVX2" OFF)
    if(BV_EMULATE_AVX512)
        list(APPEND BV_HAVE BV_EMULATE_AVX512=1)
        set(BV_LEVEL_FLAGS_avx512
            -DBV_LEVEL_AVX512=1 -mavx2 -mfma -mf16c -O1 -ftree-vectorize -Wno-psabi
            -include ${CMAKE_SOURCE_DIR}/tests/emulated/avx512.h)
    endif()
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
    list(APPEND BV_LEVELS neon)
    set(BV_LEVEL_FLAGS_neon -DBV_LEVEL_NEON=1)
    set(BV_HAVE BV_HAVE_NEON=1)
endif()

file(GLOB BV_LANE_SOURCES CONFIGURE_DEPENDS src/kernel/lanes/*.c)
set(BV_LEVEL_OBJECTS "")
foreach(level IN LISTS BV_LEVELS)
    add_library(bv_kernel_${level} OBJECT ${BV_LANE_SOURCES})
    target_include_directories(bv_kernel_${level} PRIVATE src)
    target_compile_options(bv_kernel_${level} PRIVATE -DBV_LEVEL=${level}
                                                      ${BV_LEVEL_FLAGS_${level}})
    list(APPEND BV_LEVEL_OBJECTS $<TARGET_OBJECTS:bv_kernel_${level}>)
endforeach()

# ---- the rooms' libraries ----

set(BV_ROOMS_ABOVE "")
foreach(room IN LISTS BV_ROOMS)
    file(GLOB sources CONFIGURE_DEPENDS src/${room}/*.c)
    if(room STREQUAL "kernel")
        list(APPEND sources ${BV_LEVEL_OBJECTS})
    endif()
    if(room STREQUAL "arena")
        include(cmake/languages.cmake)
        list(APPEND sources ${CMAKE_BINARY_DIR}/generated/languages.c)
    endif()
    add_library(bv_${room} STATIC ${sources})
    set_target_properties(bv_${room} PROPERTIES LINKER_LANGUAGE C)
    target_include_directories(bv_${room} PUBLIC src)
    target_link_libraries(bv_${room} PUBLIC ${BV_ROOMS_ABOVE} Threads::Threads m)
    list(INSERT BV_ROOMS_ABOVE 0 bv_${room})
endforeach()

include(cmake/llhttp.cmake)
target_include_directories(bv_base SYSTEM PRIVATE ${CRYPTO_INCLUDE_DIRS})
target_link_libraries(bv_base PUBLIC PkgConfig::JANSSON ${BV_CRYPTO} PRIVATE PkgConfig::ZLIB)
target_compile_definitions(bv_kernel PRIVATE ${BV_HAVE})
target_link_libraries(bv_http PUBLIC PkgConfig::UV bv_llhttp)
# Of libpq only the header is needed: src/store/libpq.c loads it when it is wanted.
target_link_libraries(bv_store PUBLIC PkgConfig::SQLITE ${CMAKE_DL_LIBS})
target_link_libraries(bv_arena PUBLIC PkgConfig::SECCOMP ${CMAKE_DL_LIBS})

# ---- files that the arena has in itself ----

include(cmake/embed.cmake)
foreach(name candidate checker)
    bv_embed(bv_arena bv_boxed_${name}_py ${CMAKE_SOURCE_DIR}/src/arena/boxed/${name}.py)
endforeach()
foreach(kind html js css)
    bv_embed(bv_arena bv_web_arena_${kind} ${CMAKE_SOURCE_DIR}/web/arena/arena.${kind})
endforeach()
