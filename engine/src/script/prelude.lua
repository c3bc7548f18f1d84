-- The sandbox of scripts, built once per Lua state. Called with the table of real globals, the
-- functions of the host, and the tables that scripts see. Returns what the host calls.
--
-- Stock Lua has no read-only tables. What scripts must not change is therefore given to them as
-- empty tables that look things up in the real ones, and every library function that would
-- write past the metatable, or show what is behind it, is replaced here.
local std, host = ...
local error, type, select, tostring = std.error, std.type, std.select, std.tostring
local rawget, rawset, next, pairs, ipairs = std.rawget, std.rawset, std.next, std.pairs, std.ipairs
local setmetatable, getmetatable = std.setmetatable, std.getmetatable
local getfenv, setfenv, unpack = std.getfenv, std.setfenv, std.unpack
local pcall, xpcall = std.pcall, std.xpcall
local resume, create = std.coroutine.resume, std.coroutine.create
local status = std.coroutine.status
local floor = std.math.floor
local maxn, getn = std.table.maxn, std.table.getn

local READONLY = "Attempt to modify a readonly table"
-- Empty table seen by scripts -> the table behind it.
local behind = {}
-- Empty table seen by scripts -> the metatable they see on it.
local shown_meta = {}
local private = {}
local world = {}

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

local function check_writable(t, name, count)
  if type(t) ~= "table" then
    bad(1, name, "table", kind_of(count, 1, t), 2)
  end
  if behind[t] then
    error(READONLY, 3)
  end
end

-- Base library --------------------------------------------------------------------------------

local base = {}
for _, name in ipairs(host.base) do
  base[name] = std[name]
end

function base.rawset(...)
  local t = ...
  if behind[t] then
    error(READONLY, 2)
  end
  check_table(t, "rawset", select("#", ...))
  if select("#", ...) < 3 then
    error("bad argument #" .. select("#", ...) + 1 .. " to 'rawset' (value expected)", 2)
  end
  local _, k, v = ...
  if k == nil then
    error("table index is nil", 2)
  elseif k ~= k then
    error("table index is NaN", 2)
  end
  return rawset(t, k, v)
end

function base.rawget(...)
  local t, k = ...
  check_table(t, "rawget", select("#", ...))
  if select("#", ...) < 2 then
    error("bad argument #2 to 'rawget' (value expected)", 2)
  end
  return rawget(behind[t] or t, k)
end

function base.next(...)
  local t, k = ...
  check_table(t, "next", select("#", ...))
  local a, b = next(behind[t] or t, k)
  return a, b
end
local seen_next = base.next

function base.pairs(...)
  local t = ...
  check_table(t, "pairs", select("#", ...))
  if behind[t] then
    return seen_next, t, nil
  end
  return next, t, nil
end

function base.setmetatable(...)
  local t, meta = ...
  check_table(t, "setmetatable", select("#", ...))
  if select("#", ...) < 2 or (meta ~= nil and type(meta) ~= "table") then
    error("bad argument #2 to 'setmetatable' (nil or table expected)", 2)
  end
  if behind[t] then
    error(READONLY, 2)
  end
  local old = getmetatable(t)
  if type(old) == "table" and rawget(old, "__metatable") ~= nil or old ~= nil and type(old) ~= "table" then
    error("cannot change a protected metatable", 2)
  end
  return setmetatable(t, meta)
end

local string_meta
function base.getmetatable(...)
  local value = ...
  if select("#", ...) == 0 then
    error("bad argument #1 to 'getmetatable' (value expected)", 2)
  end
  if type(value) == "string" then
    return string_meta
  end
  if type(value) == "table" and behind[value] then
    return shown_meta[value]
  end
  if type(value) == "userdata" then
    return nil
  end
  return (getmetatable(value))
end

function base.getfenv(...)
  local f = ...
  local env
  if type(f) == "function" then
    env = getfenv(f)
  elseif f == nil then
    env = getfenv(2)
  elseif f == 0 then
    return world
  else
    local level = std.tonumber(f)
    if not level then
      bad(1, "getfenv", "number", type(f))
    end
    local ok, found = pcall(getfenv, level + 2)
    if not ok then
      error("bad argument #1 to 'getfenv' (invalid level)", 2)
    end
    env = found
  end
  if env == private then
    return world
  end
  return env
end

function base.setfenv(...)
  local f, env = ...
  if type(env) ~= "table" then
    bad(2, "setfenv", "table", kind_of(select("#", ...), 2, env))
  end
  if type(f) == "function" then
    local ok, old = pcall(getfenv, f)
    if not ok or old == private or not pcall(setfenv, f, env) then
      error("'setfenv' cannot change environment of given object", 2)
    end
    return f
  end
  local level = std.tonumber(f)
  if not level then
    bad(1, "setfenv", "number", kind_of(select("#", ...), 1, f))
  end
  if level < 1 then
    error(READONLY, 2)
  end
  local ok, old = pcall(getfenv, level + 2)
  if not ok then
    error("bad argument #1 to 'setfenv' (invalid level)", 2)
  end
  if old == private or old == world and level > 1 then
    error("'setfenv' cannot change environment of given object", 2)
  end
  return setfenv(level + 1, env)
end

function base.unpack(...)
  local t, i, j = ...
  local count = select("#", ...)
  check_table(t, "unpack", count)
  local function whole(at, value, default)
    if value == nil then
      return default
    end
    local n = std.tonumber(value)
    if not n then
      bad(at, "unpack", "number", type(value), 2)
    end
    return n < 0 and -floor(-n) or floor(n)
  end
  i = whole(2, i, 1)
  j = whole(3, j, #t)
  if i > j then
    return
  end
  -- Not below the limit also when either is no number at all.
  if not (j - i < 7998 and i > -2147483648 and j < 2147483647) then
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
  if select("#", ...) == 0 then
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
local function loaded(f, problem)
  if not f then
    return nil, problem
  end
  return setfenv(f, world)
end

function base.loadstring(...)
  local text, name = ...
  local count = select("#", ...)
  if type(text) ~= "string" and type(text) ~= "number" then
    bad(1, "loadstring", "string", kind_of(count, 1, text))
  end
  if name ~= nil and type(name) ~= "string" and type(name) ~= "number" then
    bad(2, "loadstring", "string", type(name))
  end
  text = tostring(text)
  return loaded(load_text(text, tostring(name or text)))
end

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
    end
  end
  return loaded(load_text(std.table.concat(parts), name and tostring(name) or "=(load)"))
end

function base.collectgarbage(...)
  local what, arg = ...
  if what == nil or what == "collect" or what == "count" or what == "step" then
    return std.collectgarbage(what, arg)
  elseif what == "stop" or what == "restart" then
    return 0
  elseif what == "setpause" or what == "setstepmul" then
    return 200
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
    bad(1, "wrap", "Lua function", kind_of(select("#", ...), 1, f))
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
    error(problem, 0)
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

local insert, remove, sort, setn = std.table.insert, std.table.remove, std.table.sort, std.table.setn
function tables.insert(...)
  local t = ...
  local count = select("#", ...)
  check_writable(t, "insert", count)
  if count == 2 then
    local _, value = ...
    insert(t, value)
  elseif count == 3 then
    local _, at, value = ...
    if not std.tonumber(at) then
      bad(2, "insert", "number", type(at))
    end
    insert(t, at, value)
  else
    error("wrong number of arguments to 'insert'", 2)
  end
end

function tables.remove(...)
  local t, at = ...
  check_writable(t, "remove", select("#", ...))
  if at ~= nil and not std.tonumber(at) then
    bad(2, "remove", "number", type(at))
  end
  if at == nil then
    local last = remove(t)
    return last
  end
  return (remove(t, at))
end

function tables.sort(...)
  local t, less = ...
  check_writable(t, "sort", select("#", ...))
  if less ~= nil and type(less) ~= "function" then
    bad(2, "sort", "function", type(less))
  end
  sort(t, less)
end

-- Strings -------------------------------------------------------------------------------------

-- A pattern item costs the matcher a level of the C stack.
local MAX_PATTERN = 4096
local strings = {}
for name, f in pairs(std.string) do
  strings[name] = f
end

local function pass(...)
  return ...
end

local function checked(name)
  local f = std.string[name]
  strings[name] = function(...)
    local _, pattern, third, plain = ...
    if type(pattern) == "string" and #pattern > MAX_PATTERN and not (name == "find" and plain) then
      error("pattern too complex", 2)
    end
    local count = select("#", ...)
    local s = ...
    if type(s) ~= "string" and type(s) ~= "number" then
      bad(1, name, "string", kind_of(count, 1, s))
    end
    if type(pattern) ~= "string" and type(pattern) ~= "number" then
      bad(2, name, "string", kind_of(count, 2, pattern))
    end
    if name == "gsub" then
      local t = type(third)
      if t ~= "string" and t ~= "number" and t ~= "table" and t ~= "function" then
        error("bad argument #3 to 'gsub' (string/function/table expected)", 2)
      end
    end
    return pass(f(...))
  end
end
checked("find")
checked("match")
checked("gmatch")
checked("gsub")
strings.gfind = strings.gmatch
std.string.find, std.string.match = strings.find, strings.match
std.string.gmatch, std.string.gsub, std.string.gfind = strings.gmatch, strings.gsub, strings.gfind

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

string_meta = protect({ __index = real.string })

local function missing(_, name)
  if type(name) ~= "string" and type(name) ~= "number" then
    error("Second argument to luaProtectedTableError must be a string or number", 2)
  end
  error("Script attempted to access nonexistent global variable '" .. name .. "'", 2)
end
setmetatable(real, { __index = missing })
protect(real, world)
local world_meta = getmetatable(world)
shown_meta[world] = protect({ __index = missing })

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
  world = world,
  behind = behind,
  -- Globals of the next script.
  set = function(name, value)
    rawset(real, name, value)
  end,
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
