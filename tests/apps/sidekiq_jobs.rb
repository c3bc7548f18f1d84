# Sidekiq: queues, schedules, retries and the dead, its statistics, and a server that is killed.
require "sidekiq"
require "sidekiq/api"

Redis.silence_deprecations = true if Redis.respond_to?(:silence_deprecations=)
PORT = Integer(ENV["APP_PORT"] || ARGV[0])
URL = "redis://127.0.0.1:#{PORT}/0"

Sidekiq.configure_client { |config| config.redis = { url: URL } }
Sidekiq.configure_server do |config|
  config.redis = { url: URL }
  config.options[:poll_interval_average] = 0.5
end

def note(name, value)
  Sidekiq.redis { |redis| redis.rpush("notes:#{name}", value) }
end

def notes(name)
  Sidekiq.redis { |redis| redis.lrange("notes:#{name}", 0, -1) }
end

class Add
  include Sidekiq::Worker

  def perform(a, b)
    note("sums", a + b)
  end
end

class Flaky
  include Sidekiq::Worker
  sidekiq_options retry: 5

  def perform
    note("tries", "x")
    raise "not yet" if notes("tries").size < 3

    note("flaky", "done")
  end
end

class Hopeless
  include Sidekiq::Worker
  sidekiq_options retry: 0, queue: "low"
  sidekiq_retries_exhausted { |job, error| note("exhausted", "#{job["class"]} #{error.message}") }

  def perform
    raise "never"
  end
end

return if defined?(Sidekiq::CLI)

def check(what, found, wanted)
  raise "#{what}: #{found.inspect} instead of #{wanted.inspect}" unless found == wanted
end

def wait_for(what, seconds = 30)
  over = Time.now + seconds
  until yield
    raise "in vain: #{what}" if Time.now > over

    sleep 0.02
  end
end

def worker
  spawn({ "APP_PORT" => PORT.to_s }, "sidekiq", "-r", File.expand_path(__FILE__), "-c", "4", "-q", "default,2", "-q", "low", %i[out err] => "/dev/null")
end

def kill_server
  $stdout.puts "kill"
  $stdout.flush
  check("the server", $stdin.gets, "up\n")
end

Sidekiq.logger.level = Logger::FATAL
# What is queued before any worker runs.
ids = (1..20).map { |n| Add.perform_async(n, n) }
Sidekiq::Client.push_bulk("class" => Add, "args" => (21..100).map { |n| [n, n] })
gone = Add.perform_async(0, 0)
check("a queue", Sidekiq::Queue.new.size, 101)
check("a job", Sidekiq::Queue.new.find_job(ids[4]).args, [5, 5])
Sidekiq::Queue.new.find_job(gone).delete
later = Add.perform_in(3, 1000, 1)
never = Add.perform_in(3600, 0, 0)
check("scheduled, the last first", Sidekiq::ScheduledSet.new.map(&:jid), [never, later])
Flaky.perform_async
Hopeless.perform_async
pid = worker
wait_for("sums") { notes("sums").size == 101 }
check("sums", notes("sums").map(&:to_i).sort, (1..100).map { |n| 2 * n } + [1001])
# Its own pace would be half a minute and more.
2.times do
  wait_for("a job to try again") { Sidekiq::RetrySet.new.size == 1 }
  check("why", Sidekiq::RetrySet.new.first["error_message"], "not yet")
  Sidekiq::RetrySet.new.retry_all
end
wait_for("three tries") { notes("flaky") == ["done"] }
check("tries", notes("tries").size, 3)
wait_for("the dead") { notes("exhausted") == ["Hopeless never"] }
wait_for("an empty retry set") { Sidekiq::RetrySet.new.size.zero? }
wait_for("statistics") { Sidekiq::Stats.new.processed >= 104 }
check("failures", Sidekiq::Stats.new.failed, 3)
check("still scheduled", Sidekiq::ScheduledSet.new.map(&:jid), [never])
process = Sidekiq::ProcessSet.new.first
check("the process", [process["pid"], process["concurrency"], process["queues"].sort.uniq], [pid, 4, %w[default low]])
# It is told to stop through Redis.
process.stop!
Process.wait(pid)
check("its end", $?.exitstatus, 0)
check("processes", Sidekiq::ProcessSet.new.size, 0)

# What was accepted is there after a kill, and a worker that was there goes on.
(1..50).each { |n| Add.perform_async(n, 10_000) }
kill_server
check("a queue", Sidekiq::Queue.new.size, 50)
check("still scheduled", Sidekiq::ScheduledSet.new.find_job(never).args, [0, 0])
pid = worker
wait_for("sums") { notes("sums").size == 151 }
kill_server
Add.perform_async(1, 100_000)
wait_for("a worker that connects again") { notes("sums").include?("100001") }
Process.kill("TERM", pid)
Process.wait(pid)
puts "ok"
