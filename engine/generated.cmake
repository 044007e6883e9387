# What the engine computes when it is built: the default seccomp profile's program.
add_executable(seccomp_generator engine/seccomp_generator.cpp engine/seccomp_profile.cpp engine/seccomp.cpp
  engine/capabilities.cpp engine/nearest.cpp engine/error.cpp)
target_link_libraries(seccomp_generator PRIVATE seccomp)
add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/seccomp_prebuilt.cpp
  COMMAND seccomp_generator ${CMAKE_BINARY_DIR}/seccomp_prebuilt.cpp
  DEPENDS seccomp_generator VERBATIM)
target_sources(luabox_engine PRIVATE ${CMAKE_BINARY_DIR}/seccomp_prebuilt.cpp)
