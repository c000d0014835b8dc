# Sidekiq: a job, one that is scheduled, and one that is tried again.

require "openssl"
require "sidekiq"
require "uri"

DEADLINE = 60

def redis
  url = URI(ENV.fetch("APP_URL"))
  files = URI.decode_www_form(url.query.to_s).to_h
  tls = {}
  tls[:ca_file] = files["ssl_ca_certs"] if files["ssl_ca_certs"]
  tls[:cert] = OpenSSL::X509::Certificate.new(File.read(files["ssl_certfile"])) if files["ssl_certfile"]
  tls[:key] = OpenSSL::PKey.read(File.read(files["ssl_keyfile"])) if files["ssl_keyfile"]
  url.query = nil
  { url: url.to_s, ssl_params: tls }
end

Sidekiq.configure_client { |config| config.redis = redis }
Sidekiq.configure_server do |config|
  config.redis = redis
  config.average_scheduled_poll_interval = 1
end

# What a job leaves is a line of a file: keys of its own would come on top of the preset.
def done(what)
  File.write(ENV.fetch("APP_TICKS"), "#{what}\n", mode: "a")
end

class Add
  include Sidekiq::Worker

  def perform(name, x, y)
    done("#{name} #{x + y}")
  end
end

class FailsOnce
  include Sidekiq::Worker
  sidekiq_options retry: 1
  sidekiq_retry_in { 1 }

  def perform(name)
    failed = "#{ENV.fetch("APP_TICKS")}.#{name}"
    return done("#{name} retried") if File.exist?(failed)
    File.write(failed, "")
    raise "as it should"
  end
end

def work
  name = "of-#{Process.pid}"
  Add.perform_async(name, 2, 3)
  Add.perform_in(1, name, 2, 4)
  FailsOnce.perform_async(name)
  missing = ["#{name} 5", "#{name} 6", "#{name} retried"]
  till = Process.clock_gettime(Process::CLOCK_MONOTONIC) + DEADLINE
  until (missing -= File.exist?(ENV.fetch("APP_TICKS")) ? File.readlines(ENV.fetch("APP_TICKS"), chomp: true) : []).empty?
    raise "not done: #{missing}" if Process.clock_gettime(Process::CLOCK_MONOTONIC) > till
    sleep 0.1
  end
end
