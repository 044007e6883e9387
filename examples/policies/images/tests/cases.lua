case "a known image" { container = { rootfs = image "golang", command = { "sh" } }, allowed = true }
case "an unknown one" { container = { rootfs = image "miner", command = { "sh" } }, refused_by = "known images", reason = "miner" }
case "one with something on top" {
  container = { rootfs = image { "golang", layers = { "/srv" } }, command = { "sh" } }, refused_by = "known images", reason = "layers",
}
case "one with kept changes" {
  container = { rootfs = image { "golang", persist = "/srv/kept" }, command = { "sh" } }, refused_by = "known images", reason = "kept",
}
case "a folder" { container = { rootfs = "/", command = { "sh" } }, refused_by = "known images", reason = "folder" }
case "root imports" { on = "import", request = { name = "x", source = "/x.tar" }, caller = { uid = 0 }, allowed = true }
case "a user imports" { on = "import", request = { name = "x", source = "/x.tar" }, refused_by = "imports are root's", reason = "only root" }
case "device nodes" {
  on = "import", request = { name = "x", devices = "keep" }, caller = { uid = 0 },
  refused_by = "imports are root's", reason = "nodes",
}
