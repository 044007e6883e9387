// The one way in which the engine fails.
//
// An Error says which step failed (`op`, the system call or the engine's own verb), on which object
// (`object`: a path, a name, a number; may be empty) and why (`code`, an errno value). `hint` is set where
// the cause is known better than errno tells it. The engine never logs and never exits: whoever catches an
// Error tells it, once.
#pragma once

#include <cerrno>
#include <exception>
#include <string>
#include <vector>

namespace luabox {

class Error : public std::exception {
 public:
  /// The last system call failed: takes errno.
  explicit Error(std::string op, std::string object = {}, int code = errno, std::string hint = {});

  /// A request that can't be meant: EINVAL, with the reason as the hint.
  static Error invalid(std::string op, std::string object, std::string reason);

  const std::string& op() const { return op_; }
  const std::string& object() const { return object_; }
  int code() const { return code_; }
  const std::string& hint() const { return hint_; }

  /// "op object: reason (hint)", one line.
  const char* what() const noexcept override { return what_.c_str(); }

 private:
  std::string op_, object_, hint_, what_;
  int code_;
};

/// The symbolic name of an errno value: "ENOENT"; "E123" where it has none.
std::string errno_name(int code);

struct ErrnoName {
  int code;
  std::string name;  ///< "ENOENT"
  std::string text;  ///< "No such file or directory": what an Error says
};

/// Every errno value that has a name, in order.
std::vector<ErrnoName> errno_names();

}  // namespace luabox
