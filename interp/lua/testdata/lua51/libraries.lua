-- The functions that gopher-lua has otherwise than PUC Lua. What is wanted was
-- written by lua5.1.
local function try(...)
    local ok, problem = pcall(...)
    return ok and "no error" or (tostring(problem):gsub("^[^:]*:%d+: ", ""):gsub("to '(.-)'", "to %1"))
end

print("tonumber", tonumber("0x10"), tonumber("1e1"), tonumber("  5  "), tonumber("5x"), tonumber("017"), tonumber("0b1"), tonumber("1_0"), tonumber(""), tonumber(nil))
print("tonumber", tonumber("z", 36), tonumber("ff", 16), tonumber("0xff", 16), tonumber("8", 8), tonumber("0x"), tonumber("1e"), tonumber("10", 2), tonumber("-"), tonumber("0x1p4"), try(tonumber, "1", 99))
print("huge", math.huge, -math.huge, math.huge == 1/0, tostring(1/0))
print("numbers", 1e100, 0.1, 100, 123456789012, 2^31)

print("format", ("%u|%5u|%05u|%i|%d"):format(65, 65, 65, 65, 65.9), ("%x|%X|%#x|%o|%#o|%u"):format(255, 255, 255, 8, 8, 3e9), ("%x"):format(-1))
print("format", ("%5d|%-5d|%+d|% d|%05d|%.3d|%8.3d"):format(42, 42, 42, 42, -42, 5, 5), ("%c%c%c"):format(72, 105, 33))
print("format", ("%e|%.0f|%5.1f|%-10.2e|%G|%g"):format(65, 2.5, 3.14159, 12345.678, 1e-10, 65), ("%g %g %g %g"):format(100000, 1000000, 1e15, 0.1), ("%.14g"):format(0.1 + 0.2))
print("format", ("%g|%f|%5.1f|%+g"):format(1/0, -1/0, 1/0, 1/0), #("%99.99f"):format(1/3))
print("format", ("%10.3s|%-5s|%5s|%.0s|%s"):format("abcdef", "ab", "é", "x", 1.5), ("%5c|"):format(65), ("100%%"):format())
print("format", ("%q"):format('a\n"b"\\\0\r'), ("%s|%d|%s"):format("10", "10", 12))
print("format", try(string.format, "%d", "x"), try(string.format, "%y", 1), try(string.format, "%123d", 1), try(string.format, "%"))

print("find", ("x"):find("", 3), ("abc"):find("", 2), ("abc"):find("", 4), ("abc"):find("", 10), ("abc"):find("x", 10))
print("find", ("foo.bar"):find(".", 1, true), ("foo"):find("o", -1), ("THE (quick) fox"):find("%((%a+)%)"), ("a\0b"):find("\0", 1, true), ("abc"):find("b()"), ("aXb"):find("^X", 2))
print("match", ("k=v; j=w"):match("(%w+)=(%w+)"), ("abc"):match("()b()"), ("abc"):match(".-$"), ("[[x]]"):match("%[%[(.*)%]%]"), ("abcabc"):match("(a)bc%1"), ("abc"):match("^b", 2))
print("match", ("  trim  "):match("^%s*(.-)%s*$") .. "|", ("[=[x]=]"):match("%[(=*)%[(.-)%]%1%]"), ("f(a(b)c)d"):match("%b()"), ("x[]]y"):match("[[]"), ("a-z"):match("[a%-z]+"), ("]"):match("[]]"))
print("match", ("^"):match("[%^]"), ("a^"):match("[a^]+"), ("-"):match("[a-]"), #("\0a"):match("%z"), ("aXb1_"):match("%l%u%a%d%p"), ("ab"):match("a?b?c?"), ("aaab"):match("a-b"), ("x"):match("%X"), ("\t"):match("%c") == "\t")
print("match", #("x"):rep(100000):match(".*"), #(("x"):rep(50000) .. "y"):match("^(.-)y"), ("xyx"):match("(x)(y)(x)"))
print("gsub", ("hello world"):gsub("o", "%%"), ("abc"):gsub("%w", "%0%0"), ("abc"):gsub("", "-"), ("hello"):gsub("l", 5), ("abc"):gsub("^a", "x"), ("aaa"):gsub("^a", "x"))
print("gsub", ("abc abc"):gsub("%w+", "%0 %0", 1), ("abc"):gsub("b", { b = false }), ("abc"):gsub("b", function() end), ("x = 1"):gsub("(%w+) = (%w+)", "%2 = %1"), ("a,b,,c"):gsub(",", ";", 2), ("abc"):gsub("x", "y"))
print("gsub", ("THE cat"):gsub("%f[%a]%a+", string.lower), ("f(a)"):gsub("%b()", ""), ("a.b.c"):gsub("%.", "/"), ("äb"):gsub("[\128-\255]", "?"), ("abc"):gsub("(b)()", "%2%1"))
print("gmatch", (function() local t = {} for k, v in ("a=1, b=2"):gmatch("(%w+)=(%w+)") do t[#t + 1] = k .. v end for w in ("x y"):gmatch("%a*") do t[#t + 1] = "<" .. w .. ">" end return table.concat(t, " ") end)())
print("errors", try(string.find, "a", "[a"), try(string.find, "a", "%"), try(string.find, "a", "(a"), try(string.find, "a", "a)"), try(string.gsub, "a", "a", "%1"), try(string.gsub, "a", "(a)", "%2"), try(string.gsub, "a", "a", { a = {} }), try(string.find, "a", "%f"))
print("case", ("\200x\255"):upper() == "\200X\255", ("ÄX"):lower() == "Äx", ("abc"):upper(), ("aBC"):lower(), (""):upper())

print("date", os.date("!%c|%x|%X|%D|%j|%U|%W|%V|%y|%%|%p|%A|%B|%e|%u|%w|%G|%g|%C|%h|%I|%R|%r|%T|%n|%t|%F", 1e9))
print("date", os.date("!%Y-%m-%d %H:%M:%S %a %b %j %p", 0), os.date("!%a %j %U %W %V %G", 1104537600), os.date("!%j", 1104451200))
for _, t in ipairs { 0, 1e9, 951782400 } do
    local d = os.date("!*t", t)
    print("date", d.year, d.month, d.day, d.hour, d.min, d.sec, d.wday, d.yday, d.isdst)
end
print("time", try(os.time, { year = 2020 }), try(os.time, { year = 2020, month = 1 }))
print("error", pcall(function() error() end))
print("error", try(error, "x", 2))
print("count", type(collectgarbage("count")), collectgarbage("collect"), try(collectgarbage, "x"))
print("concat", table.concat {}, table.concat({ 1, "b", 2.5 }, ", "), table.concat({ 1, 2, 3 }, "-", 2), table.concat({ 1, 2, 3 }, "-", 2, 2), table.concat({ 1, 2 }, "-", 3), table.concat({ [0] = "zero", "one" }, 7, 0))
print("concat", try(table.concat, { 1, {}, 3 }), try(table.concat, { 1 }, ",", 1, 2), try(table.concat, { 1 }, ",", 2, 2), #table.concat((function() local t = {} for i = 1, 50000 do t[i] = "line " .. i end return t end)(), "\n"))
