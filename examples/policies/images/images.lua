-- Only images that the site knows, by name; an image lies where nobody but root writes, so the name says what is in it.
local KNOWN = { "golang", "debian-12", "alpine-3.20" }

rule "known images" {
  on = "run",
  check = function(c)
    if not c.image then return deny("a container must run from an image, not from the folder " .. c.rootfs.path) end
    if c.rootfs.layers or c.rootfs.persist then return deny "an image is used as it is, without layers or kept changes" end
    if not has(KNOWN, c.image) then return deny("the image '" .. c.image .. "' is not one of " .. table.concat(KNOWN, ", ")) end
  end,
}

rule "imports are root's" {
  on = "import",
  check = function(i)
    if i.caller.uid ~= 0 then return deny "only root imports images" end
    if i.devices == "keep" then return deny "an image brings no device nodes" end
  end,
}
