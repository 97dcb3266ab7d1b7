namespace Scuse.Ring.Tests;

/// <summary>
/// The one moment that decides: one end publishes and looks whether the other sleeps, while the other says that it will sleep and looks
/// whether anything was published. Each may see the other, or both; if neither did, it would sleep for ever.
/// </summary>
public sealed class WaitingFlagTests
{
    // Without the fences this many rounds showed the fault some 3000 times on x86-64 with two cores.
    const int Rounds = 200_000;

    [Fact]
    public async Task A_target_that_publishes_and_a_handler_about_to_sleep_never_both_miss_the_other()
    {
        using var ring = new RingFixture();
        await Race(
            prepare: () => ring.PostTestUnit(),
            publish: () => ring.Target.Publish() && ring.Target.HandlerWantsDoorbell(waitFlagsInForce: true),
            fallAsleep: () =>
            {
                ring.Handler.AnnounceSleep();
                return ring.Handler.HasCommands;
            },
            cleanUp: () =>
            {
                ring.Handler.EndSleep();
                ring.AnswerAndPublish(ring.Take());
                ring.Reap();
            });
    }

    [Fact]
    public async Task A_handler_that_publishes_and_a_target_about_to_sleep_never_both_miss_the_other()
    {
        using var ring = new RingFixture();
        await Race(
            prepare: () =>
            {
                ring.PostAndPublish();
                ring.Handler.Answer(ring.Take(), RingFixture.Good, []);
            },
            publish: () => ring.Handler.Publish() && ring.Handler.TargetWantsDoorbell(waitFlagsInForce: true),
            fallAsleep: () =>
            {
                ring.Target.AnnounceSleep();
                return ring.Target.HasAnswers;
            },
            cleanUp: () =>
            {
                ring.Target.EndSleep();
                ring.Reap();
            });
    }

    static async Task Race(Action prepare, Func<bool> publish, Func<bool> fallAsleep, Action cleanUp)
    {
        int go = 0, done = 0, missed = 0;
        var sawWork = false;
        var sleeper = Task.Factory.StartNew(() =>
        {
            for (var round = 1; round <= Rounds; round++)
            {
                WaitFor(ref go, round);
                sawWork = fallAsleep();
                Volatile.Write(ref done, round);
            }
        }, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        var publisher = Task.Factory.StartNew(() =>
        {
            for (var round = 1; round <= Rounds; round++)
            {
                prepare();
                Volatile.Write(ref go, round);
                // The other thread takes a while to see the start; how long varies, so the head start varies too.
                for (var delay = 0; delay < round % 256; delay++)
                    Volatile.Read(ref done);
                var ringsDoorbell = publish();
                WaitFor(ref done, round);
                if (!ringsDoorbell && !sawWork)
                    missed++;
                cleanUp();
            }
        }, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        await Task.WhenAll(sleeper, publisher).WaitAsync(TimeSpan.FromSeconds(120));

        Assert.Equal(0, missed);
    }

    static void WaitFor(ref int value, int expected)
    {
        for (var spins = 0; Volatile.Read(ref value) != expected; spins++)
        {
            // The other thread may have no core of its own.
            if (spins > 10_000)
                Thread.Yield();
        }
    }
}
