-- What busted needs of lua-term's part that is written in C.
return { isatty = function() return false end }
