# What the engine computes when it is built: the default seccomp profile's program, and the programs of a few pages.
add_executable(seccomp_generator engine/seccomp_generator.cpp engine/seccomp_profile.cpp engine/seccomp.cpp
  engine/capabilities.cpp engine/nearest.cpp engine/error.cpp engine/escaped.cpp)
target_link_libraries(seccomp_generator PRIVATE seccomp)
add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/seccomp_prebuilt.cpp
  COMMAND seccomp_generator ${CMAKE_BINARY_DIR}/seccomp_prebuilt.cpp
  DEPENDS seccomp_generator VERBATIM)
target_sources(luabox_engine PRIVATE ${CMAKE_BINARY_DIR}/seccomp_prebuilt.cpp)

foreach(program init_program monitor_program)
  add_executable(${program} engine/${program}.cpp)
  target_compile_options(${program} PRIVATE -Os -ffreestanding -fno-stack-protector -fno-asynchronous-unwind-tables -fno-exceptions -fno-sanitize=all
    -U_FORTIFY_SOURCE)
  target_link_options(${program} PRIVATE -static -nostdlib -fno-sanitize=all -Wl,--strip-all,--build-id=none,-z,noseparate-code)
endforeach()
set_source_files_properties(engine/program_file.cpp PROPERTIES
  OBJECT_DEPENDS "${CMAKE_BINARY_DIR}/init_program;${CMAKE_BINARY_DIR}/monitor_program"
  COMPILE_DEFINITIONS "LUABOX_INIT_PROGRAM=\"${CMAKE_BINARY_DIR}/init_program\";LUABOX_MONITOR_PROGRAM=\"${CMAKE_BINARY_DIR}/monitor_program\"")
