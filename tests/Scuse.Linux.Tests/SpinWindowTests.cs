namespace Scuse.Linux.Tests;

public sealed class SpinWindowTests
{
    const int Least = 50;
    long _now = 1;

    [Fact]
    public void Gets_wider_when_what_is_waited_for_keeps_coming_soon_after()
    {
        var window = new SpinWindow(Least);

        Sleep(window, 100, times: 7);
        Assert.Equal(Least, window.Ticks);
        Sleep(window, 100);

        Assert.Equal(3 * Least, window.Ticks);
    }

    [Fact]
    public void Stays_narrow_when_it_comes_much_later()
    {
        var window = new SpinWindow(Least);

        for (int i = 0; i < 100; i++)
        {
            Sleep(window, 100, times: 3);
            Sleep(window, 1000);
        }

        Assert.Equal(Least, window.Ticks);
    }

    [Fact]
    public void Gets_narrow_again_when_more_patience_does_not_help()
    {
        var window = new SpinWindow(Least);
        Sleep(window, 100, times: 100);

        Sleep(window, 1000, times: 4);

        Assert.Equal(Least, window.Ticks);
    }

    [Fact]
    public void Asks_only_for_what_ends_a_sleep()
    {
        var window = new SpinWindow(Least);
        Assert.False(window.IsAsleep);

        window.GaveUp(_now);
        Assert.True(window.IsAsleep);
        window.Came(_now + 10);

        Assert.False(window.IsAsleep);
    }

    void Sleep(SpinWindow window, int length, int times = 1)
    {
        for (int i = 0; i < times; i++)
        {
            window.GaveUp(_now);
            _now += length;
            window.Came(_now);
        }
    }
}
