using CsCheck;

namespace Scuse.Target.Tests;

public sealed class TimerWheelTests
{
    readonly TimerWheel _wheel = new();
    readonly List<int> _fired = [];

    Timer At(int name, long dueMs)
    {
        var timer = new Timer(_ => _fired.Add(name));
        _wheel.Set(timer, dueMs);
        return timer;
    }

    [Fact]
    public void A_timer_is_due_at_its_millisecond_and_once()
    {
        At(1, 1000);
        _wheel.Advance(999);
        Assert.Empty(_fired);

        _wheel.Advance(1000);
        _wheel.Advance(2000);

        Assert.Equal([1], _fired);
        Assert.Equal(0, _wheel.Count);
    }

    [Fact]
    public void A_timer_of_a_later_round_waits_for_it()
    {
        const long Round = 64 * 1024;
        At(1, (3 * Round) + 10);

        for (long now = 0; now < (3 * Round) + 10; now += 1000)
        {
            _wheel.Advance(now);
        }

        Assert.Empty(_fired);
        _wheel.Advance((3 * Round) + 10);
        Assert.Equal([1], _fired);
    }

    [Fact]
    public void After_a_long_pause_everything_overdue_fires()
    {
        At(1, 10);
        At(2, 40_000);
        At(3, 500_000);
        At(4, 10_000_001);

        _wheel.Advance(10_000_000);

        Assert.Equal([1, 2, 3], _fired.Order());
    }

    [Fact]
    public void A_timer_that_is_set_again_has_only_its_new_time()
    {
        Timer timer = At(1, 100);
        _wheel.Set(timer, 5000);

        _wheel.Advance(4999);
        Assert.Empty(_fired);
        _wheel.Advance(5000);

        Assert.Equal([1], _fired);
    }

    [Fact]
    public void A_due_timer_may_clear_another_due_one_and_set_itself()
    {
        Timer second = null!;
        Timer first = null!;
        first = new Timer(now =>
        {
            _fired.Add(1);
            TimerWheel.Clear(second);
            _wheel.Set(first, now + 10);
        });
        second = new Timer(_ => _fired.Add(2));
        _wheel.Set(first, 100);
        _wheel.Set(second, 100);

        _wheel.Advance(100);
        Assert.Equal([1], _fired);
        _wheel.Advance(110);

        Assert.Equal([1, 1], _fired);
    }

    [Fact]
    public void It_does_what_a_sorted_list_does() =>
        Gen.Select(Gen.Int[0, 2], Gen.Int[0, 15], Gen.Int[0, 200_000]).Array[1, 200].Sample(steps =>
        {
            var wheel = new TimerWheel();
            List<int> fired = [];
            Timer[] timers = [.. Enumerable.Range(0, 16).Select(name => new Timer(_ => fired.Add(name)))];
            var model = new Dictionary<int, long>();
            long now = 0;
            foreach ((int what, int name, int amount) in steps)
            {
                switch (what)
                {
                    case 0:
                        wheel.Set(timers[name], now + amount);
                        model[name] = now + amount;
                        break;
                    case 1:
                        TimerWheel.Clear(timers[name]);
                        model.Remove(name);
                        break;
                    default:
                        now += amount;
                        fired.Clear();
                        wheel.Advance(now);
                        int[] expected = [.. model.Where(entry => entry.Value <= now).Select(entry => entry.Key).Order()];
                        Assert.Equal(expected, fired.Order());
                        Array.ForEach(expected, due => model.Remove(due));
                        break;
                }

                Assert.Equal(model.Count, wheel.Count);
            }
        });

    sealed class Timer(Action<long> due) : WheelTimer
    {
        protected internal override void Due(long nowMs) => due(nowMs);
    }
}
