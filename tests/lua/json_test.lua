-- luabox.sys.json: what goes out comes back, and what is no JSON is an error.
local harness = require "harness"
local test, check = harness.test, harness.check
local json = require("luabox.sys").json

test("a table is written as an array or an object, the same table always as the same text", function()
  check.equal(json.encode { 1, "two", true, { nested = {} } }, '[1,"two",true,{"nested":[]}]')
  check.equal(json.encode { b = 1, a = 2, c = { d = 0.5 } }, '{"a":2,"b":1,"c":{"d":0.5}}')
  check.equal(json.encode({ a = { 1 } }, { indent = 1 }), '{\n "a": [\n  1\n ]\n}')
  check.equal(json.encode(nil), "null")
end)

test("numbers keep their value", function()
  check.equal(json.encode(9007199254740991), "9007199254740991")
  check.equal(json.encode(-0.5), "-0.5")
  check.equal(json.encode(1e300), "1e+300")
  check.equal(json.decode "12345678901", 12345678901)
  check.equal(json.decode(json.encode(0.1)), 0.1)
end)

test("every string comes back as it was, unless it is no UTF-8", function()
  local text = "quotes \" \\ / \1 \n ü €"
  check.equal(json.decode(json.encode(text)), text)
  check.equal(json.decode(json.encode "a\0b"), "a\0b")
  check.equal(json.decode '"\\u00e9"', "é")
  check.equal(json.encode "\255", '"\239\191\189"')
  check.equal(json.encode { ["a\0b"] = 1, ["\255"] = 2, ['q"'] = 3 }, '{"a\\u0000b":1,"q\\"":3,"\239\191\189":2}')
  check.equal(json.decode '{"a\\u0000b":1}'["a\0b"], 1)
  check.raises("got nothing", json.encode)
end)

test("what was decoded is Lua's own: arrays, objects, nothing for null", function()
  local value = json.decode '{"list": [1, 2, null], "object": {"a": false}, "none": null}'
  check.equal(#value.list, 2)
  check.equal(value.object.a, false)
  check.equal(value.none, nil)
end)

test("text that is no JSON is an error", function()
  for _, text in ipairs { "", "{", "[1,]", "nul", "{'a': 1}", "1 2", '"\255"', "[", "1\0", "[1]\0 this", "\0" } do
    check.equal(check.raises("this is no JSON", json.decode, text).code, "EINVAL")
  end
end)

test("what JSON can't hold is an error that names it", function()
  check.raises("expected a value that JSON can hold, got function", json.encode, print)
  check.raises("got function", json.encode { 1 } and json.encode, { a = print })
  check.raises("an object's keys must be strings", json.encode, { 1, nil, 3, 4, x = 1 })
  check.raises("an object's keys must be strings", json.encode, { [true] = 1 })
  for text, number in pairs { inf = 1 / 0, ["-inf"] = -1 / 0, nan = 0 / 0 } do
    check.contains(check.raises("expected a value that JSON can hold, got the number ", json.encode, { { number } }).message, text)
  end
end)

test("an indent is 0 to 16 blanks, and any other an error that says so", function()
  check.raises("indent", json.encode, {}, { indent = "two" })
  for _, indent in ipairs { -1, 17, 600, 100000, 2 ^ 31 - 1 } do
    check.raises("encode: argument 2: option 'indent': expected 0 to 16 blanks, got " .. indent, json.encode, { 1 }, { indent = indent })
  end
  check.equal(json.encode({ 1 }, { indent = 0 }), "[\n1\n]")
  local deep = 1
  for _ = 1, 90 do deep = { deep } end
  check.contains(json.encode(deep, { indent = 16 }), "\n" .. (" "):rep(90 * 16) .. "1\n")
end)

test("a table that holds itself, or is nested without end, is an error and no crash", function()
  local loop = {}
  loop.loop = loop
  check.raises("nested too deeply", json.encode, loop)
  check.raises("nested too deeply", json.decode, ("["):rep(100000) .. ("]"):rep(100000))
  check.raises("nested too deeply", json.decode, ('{"a":'):rep(5000) .. "1" .. ("}"):rep(5000))
  check.truthy(json.decode(("["):rep(90) .. ("]"):rep(90)))
end)

harness.finish()
