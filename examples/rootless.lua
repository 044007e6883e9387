-- What an ordinary user gets without root: a user namespace in which he is root, and the ids that /etc/subuid grants him.
-- Prints who root inside is outside, which ids there are, and whose a file is that root gave to the user 1000.
-- Needs: an ordinary user; an image "box" with a shell (luabox image import FILE box).
return container {
  rootfs = image "box",
  command = { "sh", "-c", [[
    echo "inside I am $(id -u); inside, outside, count:"
    cat /proc/self/uid_map
    # Where a line of that table reaches 1000 the file is outside what the line says; without such a line there is no user 1000 to give it to.
    touch /tmp/file && chown 1000 /tmp/file 2>&1 &&
      awk '$1 <= 1000 && 1000 < $1 + $3 { print "the file of 1000 belongs to " $2 + 1000 - $1 " outside" }' /proc/self/uid_map
  ]] },
}
