# What `cmake --install` and the Debian package have: the binary; the engine as a C++ library, luabox::engine; man pages, completions and the definitions
# for editors, which the binary writes itself; and the folder of the site's policies.
include(CMakePackageConfigHelpers)
install(TARGETS luabox RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})

# ---- the engine: find_package(luabox), target_link_libraries(... luabox::engine), #include "engine/mount.hpp"
target_compile_features(luabox_engine PUBLIC cxx_std_20)
target_include_directories(luabox_engine PUBLIC $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/luabox>)
# It is compiled for a program that is not position independent, as luabox is.
target_link_options(luabox_engine INTERFACE $<INSTALL_INTERFACE:-no-pie>)
set_target_properties(luabox_engine PROPERTIES EXPORT_NAME engine)
install(TARGETS luabox_engine EXPORT luabox ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(DIRECTORY engine/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/luabox/engine COMPONENT development FILES_MATCHING PATTERN "*.hpp")
set(PACKAGE_FOLDER ${CMAKE_INSTALL_LIBDIR}/cmake/luabox)
install(EXPORT luabox NAMESPACE luabox:: FILE luaboxConfig.cmake DESTINATION ${PACKAGE_FOLDER} COMPONENT development)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/luaboxConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/luaboxConfigVersion.cmake DESTINATION ${PACKAGE_FOLDER} COMPONENT development)

# ---- documents
install(FILES README.md CHANGELOG.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright)  # as Debian calls it
install(DIRECTORY docs examples DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(CODE [[
  set(prefix "$ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}")
  execute_process(COMMAND "${prefix}/bin/luabox" help --install "${prefix}" COMMAND_ERROR_IS_FATAL ANY)
  if(CMAKE_INSTALL_PREFIX STREQUAL "/usr")
    set(etc "$ENV{DESTDIR}/etc")
  else()
    set(etc "${prefix}/etc")
  endif()
  file(MAKE_DIRECTORY "${etc}/luabox/policy.d" "${etc}/luabox/commands")
]])

# ---- the Debian package: `cpack` in the build folder
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME luabox)
set(CPACK_PACKAGE_CONTACT "the luabox authors <luabox@example.org>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "container runtime that is programmed in Lua")
set(CPACK_PACKAGE_DESCRIPTION "A container is a Lua script that composes the kernel's own pieces: namespaces, mounts,
 cgroups, networks, capabilities and system call filters. One static binary.")
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES OFF)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "uidmap, passt")
include(CPack)
