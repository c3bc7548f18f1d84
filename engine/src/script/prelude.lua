-- The sandbox of scripts, built once per Lua state. Called with the table of real globals, the
-- functions of the host, and the tables that scripts see. Returns what the host calls.
--
-- Stock Lua has no read-only tables. What scripts must not change is therefore given to them as
-- empty tables that look things up in the real ones, and every library function that would
-- write past the metatable, or show what is behind it, is replaced: by one of the host where it
-- calls nothing of the script's, else here. No function here keeps a table of Lua's own: the collector
-- goes through whatever is kept, again and again.
local std, host = ...
local error, type, select, tostring = std.error, std.type, std.select, std.tostring
local pairs, ipairs, next = std.pairs, std.ipairs, std.next
local setmetatable, getmetatable, setfenv = std.setmetatable, std.getmetatable, std.setfenv
local pcall, xpcall = std.pcall, std.xpcall
local resume, create = std.coroutine.resume, std.coroutine.create
local concat, collect = std.table.concat, std.collectgarbage

local READONLY = "Attempt to modify a readonly table"
-- Empty table seen by scripts -> the table behind it.
local behind = host.behind
-- Empty table seen by scripts -> the metatable they see on it; true -> that of strings.
local shown = host.shown
local world = host.world
-- The environment of what is here: nothing for scripts.
local private = { private = true }

local function readonly()
  error(READONLY, 2)
end

local function protect(real, seen)
  seen = seen or {}
  behind[seen] = real
  setmetatable(seen, { __index = real, __newindex = readonly })
  return seen
end

-- What the message of a wrong argument calls a value.
local function kind_of(count, at, value)
  if at > count then
    return "no value"
  end
  return type(value)
end

local function bad(at, name, expected, got, level)
  error("bad argument #" .. at .. " to '" .. name .. "' (" .. expected .. " expected, got " .. got .. ")", (level or 1) + 2)
end

local function check_table(t, name, count)
  if type(t) ~= "table" then
    bad(1, name, "table", kind_of(count, 1, t), 2)
  end
end

-- Base library --------------------------------------------------------------------------------

local base = {}
for _, name in ipairs(host.base) do
  base[name] = std[name]
end

for name, f in pairs(host.replaced.base) do
  base[name] = f
end

function base.next(...)
  local t, k = ...
  local real = behind[t]
  if not real then
    if type(t) ~= "table" then
      check_table(t, "next", select("#", ...))
    end
    real = t
  end
  local key, value = next(real, k)
  return key, value
end

local unpack, tonumber, floor = std.unpack, std.tonumber, std.math.floor
local function bound(at, value)
  local n = tonumber(value)
  if not n then
    bad(at, "unpack", "number", type(value), 2)
  end
  return n < 0 and -floor(-n) or floor(n)
end

function base.unpack(...)
  local t, i, j = ...
  if type(t) ~= "table" then
    check_table(t, "unpack", select("#", ...))
  end
  if i == nil and j == nil and #t < 8000 then
    return unpack(t)
  end
  i = i == nil and 1 or bound(2, i)
  j = j == nil and #t or bound(3, j)
  if i > j then
    return
  end
  -- Not below the limit also when either is no number at all.
  if not (j - i < 7997 and i > -2147483648 and j < 2147483647) then
    error("too many results to unpack", 2)
  end
  return unpack(t, i, j)
end

-- Errors raised by library functions that are called from here begin with this file's name.
local find, sub, problem_of = std.string.find, std.string.sub, host.problem
local function plain(problem)
  if type(problem) == "userdata" then
    return problem_of(problem)
  end
  if type(problem) == "string" and sub(problem, 1, 2) == "\1:" then
    local _, last = find(problem, "^\1:%d+: ")
    return sub(problem, (last or 0) + 1)
  end
  return problem
end

-- A killed script stays killed: nothing may catch that.
local killed, kill = host.killed, host.kill
local function caught(ok, ...)
  if ok then
    return ok, ...
  end
  if killed() then
    kill()
  end
  local problem = ...
  return false, plain(problem)
end

local function caught_text(ok, ...)
  if ok then
    return ok, ...
  end
  if killed() then
    kill()
  end
  local problem = plain((...))
  if type(problem) == "table" then
    local text = problem.err
    if type(text) == "string" or type(text) == "number" then
      return false, text
    end
  end
  return false, problem
end

function base.pcall(...)
  local f = ...
  if f == nil and select("#", ...) == 0 then
    error("bad argument #1 to 'pcall' (value expected)", 2)
  end
  return caught_text(pcall(...))
end

function base.xpcall(...)
  local f, handler = ...
  if select("#", ...) < 2 then
    error("bad argument #2 to 'xpcall' (value expected)", 2)
  end
  return caught(xpcall(f, function(problem)
    if killed() then
      return problem
    end
    return handler(plain(problem))
  end))
end

local load_text = host.load
function base.load(...)
  local reader, name = ...
  if type(reader) ~= "function" then
    bad(1, "load", "function", kind_of(select("#", ...), 1, reader))
  end
  local parts, bytes = {}, 0
  while true do
    local part = reader()
    if part == nil or part == "" then
      break
    elseif type(part) ~= "string" and type(part) ~= "number" then
      return nil, "reader function must return a string"
    end
    part = tostring(part)
    bytes = bytes + #part
    parts[#parts + 1] = part
    if bytes > 1073741824 then
      return nil, "chunk is too long"
    elseif sub(parts[1], 1, 1) == "\27" then
      -- Bytecode is refused, however much there is of it.
      break
    end
  end
  return load_text(concat(parts), name and tostring(name) or "=(load)")
end

-- What scripts set here does nothing: the collector is the server's.
local settings = { setpause = 200, setstepmul = 200 }
function base.collectgarbage(...)
  local what, arg = ...
  if what == nil or what == "collect" or what == "count" or what == "step" then
    return collect(what, arg)
  elseif what == "stop" or what == "restart" then
    return 0
  elseif what == "setpause" or what == "setstepmul" then
    local before = settings[what]
    settings[what] = floor(tonumber(arg) or 0)
    return before
  end
  if type(what) ~= "string" then
    bad(1, "collectgarbage", "string", type(what))
  end
  error("bad argument #1 to 'collectgarbage' (invalid option '" .. what .. "')", 2)
end

-- Coroutines ----------------------------------------------------------------------------------

local co = {}
for name, f in pairs(std.coroutine) do
  co[name] = f
end

function co.resume(...)
  local thread = ...
  if type(thread) ~= "thread" then
    error("bad argument #1 to 'resume' (coroutine expected)", 2)
  end
  return caught(resume(...))
end

function co.wrap(...)
  local f = ...
  if type(f) ~= "function" then
    error("bad argument #1 to 'wrap' (Lua function expected)", 2)
  end
  local thread = create(f)
  local function results(ok, ...)
    if ok then
      return ...
    end
    if killed() then
      kill()
    end
    local problem = ...
    -- The line of the caller comes in front.
    error(problem, 3)
  end
  return function(...)
    return results(resume(thread, ...))
  end
end

-- Tables --------------------------------------------------------------------------------------

local tables = {}
for name, f in pairs(std.table) do
  tables[name] = f
end

for name, f in pairs(host.replaced.table) do
  tables[name] = f
end

local sort = std.table.sort
function tables.sort(...)
  local t, less = ...
  check_table(t, "sort", select("#", ...))
  if less ~= nil and type(less) ~= "function" then
    bad(2, "sort", "function", type(less))
  end
  if behind[t] then
    return
  end
  sort(t, less)
end

-- Strings -------------------------------------------------------------------------------------

local strings = {}
for name, f in pairs(std.string) do
  strings[name] = f
end
for name, f in pairs(host.replaced.string) do
  strings[name] = f
end

local gsub, most = std.string.gsub, host.replaced.max_pattern
local function pass(...)
  return ...
end

function strings.gsub(...)
  local s, pattern, by = ...
  local count = select("#", ...)
  if type(s) ~= "string" and type(s) ~= "number" then
    bad(1, "gsub", "string", kind_of(count, 1, s))
  end
  if type(pattern) ~= "string" and type(pattern) ~= "number" then
    bad(2, "gsub", "string", kind_of(count, 2, pattern))
  elseif type(pattern) == "string" and #pattern > most then
    error("pattern too complex", 2)
  end
  local t = type(by)
  if t ~= "string" and t ~= "number" and t ~= "table" and t ~= "function" then
    error("bad argument #3 to 'gsub' (string/function/table expected)", 2)
  end
  return pass(gsub(...))
end

-- The methods of strings are looked up in Lua's own table.
strings.gfind = strings.gmatch
for _, name in ipairs({ "find", "match", "gmatch", "gsub", "gfind" }) do
  std.string[name] = strings[name]
end

-- What scripts see ---------------------------------------------------------------------------

local maths = {}
for name, f in pairs(std.math) do
  maths[name] = f
end
for name, f in pairs(host.math) do
  maths[name] = f
end

local real = base
real._G = world
real._VERSION = std._VERSION
real.redis = protect(host.redis)
real.string = protect(strings)
real.table = protect(tables)
real.math = protect(maths)
real.coroutine = protect(co)
for name, functions in pairs(host.libs) do
  real[name] = protect(functions)
end

shown[true] = protect({ __index = real.string })

local function missing(_, name)
  if type(name) ~= "string" and type(name) ~= "number" then
    error("Second argument to luaProtectedTableError must be a string or number", 2)
  end
  error("Script attempted to access nonexistent global variable '" .. name .. "'", 2)
end
setmetatable(real, { __index = missing })
protect(real, world)
local world_meta = getmetatable(world)
shown[world] = protect({ __index = missing })

-- While a library is loaded it sees only this ---------------------------------------------------

local loading_redis = host.loading
local loading = setmetatable({ redis = protect(setmetatable(loading_redis, { __index = missing })) }, { __index = missing })

for _, functions in ipairs({ base, co, tables, strings }) do
  for _, f in next, functions do
    if type(f) == "function" then
      pcall(setfenv, f, private)
    end
  end
end

return {
  -- What is behind the globals.
  real = real,
  -- Whether what is run from now on is a library being loaded.
  loading = function(yes)
    world_meta.__index = yes and loading or real
    behind[world] = world_meta.__index
  end,
  -- Runs a function under an error handler.
  guard = function(f, handler, a, b)
    if a == nil then
      return xpcall(f, handler)
    end
    return xpcall(function()
      return f(a, b)
    end, handler)
  end,
}
