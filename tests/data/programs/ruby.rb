# frozen_string_literal: true

require "json"

module House
  class Queue < Struct.new(:items, keyword_init: true)
    include Enumerable
    attr_reader :size

    LIMITS = { "small" => 1_000, large: 10**6 }.freeze

    def self.load(path, *rest, mode: "r", **options, &block)
      File.open(path, mode) { |file| JSON.parse(file.read, symbolize_names: true) }
    rescue Errno::ENOENT, JSON::ParserError => e
      warn "#{path}: #{e.message}"
      nil
    ensure
      block&.call(rest, options)
    end

    def each
      return enum_for(:each) unless block_given?

      items.each_with_index do |item, at|
        next if item.nil? || at > LIMITS[:large]
        yield item
      end
    end

    def double = map { _1 * 2 }

    def describe(thing)
      case thing
      in { name: String => name, age: 18.. } then "#{name} is grown"
      in [first, *, last] if first == last
        %w[same ends].join(" ")
      else
        <<~TEXT
          Nothing about #{thing.inspect}
        TEXT
      end
    end

    def ==(other) = other.is_a?(Queue) && items <=> other.items

    private

    def pattern
      @pattern ||= /\A[a-z]+(?<digits>\d*)\z/ix
    end
  end
end

puts House::Queue.new(items: [1, 2]).double.sum(&:abs) if __FILE__ == $PROGRAM_NAME
