using System.Diagnostics;
using Scuse.Attach;

namespace Scuse.Handlers.Tests;

public sealed class TargetWatchTests
{
    [Theory]
    [InlineData(false, true)]
    [InlineData(true, false)]
    public async Task A_handler_that_still_works_for_a_dead_target_after_the_grace_is_ended(bool letsGo, bool isEnded)
    {
        using Process target = Process.Start("sleep", "60");
        using Watcher watcher = new();
        TaskCompletionSource ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
        StringWriter errors = new();
        TargetWatch watch = new(watcher, errors, ended.SetResult) { Grace = 200 };
        IDisposable? one = watch.Hold(target.Id);
        IDisposable? other = watch.Hold(target.Id);
        Assert.NotNull(one);
        Assert.NotNull(other);

        await Task.Delay(300);
        Assert.False(ended.Task.IsCompleted); // it lives
        target.Kill();
        await target.WaitForExitAsync();
        other.Dispose();
        if (letsGo)
        {
            one.Dispose();
        }

        await Task.WhenAny(ended.Task, Task.Delay(isEnded ? 10_000 : 600));
        Assert.Equal(isEnded, ended.Task.IsCompleted);
        Assert.Equal(isEnded, errors.ToString().Contains("ending it", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_target_after_a_dead_one_is_watched_as_well()
    {
        using Watcher watcher = new();
        int ends = 0;
        TargetWatch watch = new(watcher, TextWriter.Null, () => Interlocked.Increment(ref ends)) { Grace = 100 };
        for (int i = 1; i <= 3; i++)
        {
            using Process target = Process.Start("sleep", "60");
            IDisposable hold = watch.Hold(target.Id)!;
            target.Kill();
            await target.WaitForExitAsync();
            Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref ends) == i, 10_000));
            hold.Dispose();
        }
    }

    [Fact]
    public async Task What_is_limited_has_the_grace_and_no_more()
    {
        using Watcher watcher = new();
        TaskCompletionSource ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
        TargetWatch watch = new(watcher, TextWriter.Null, ended.SetResult) { Grace = 100 };

        watch.Limit().Dispose();
        await Task.Delay(250);
        Assert.False(ended.Task.IsCompleted);
        using IDisposable limit = watch.Limit();

        await ended.Task.WaitAsync(TimeSpan.FromSeconds(10));
    }

    [Fact]
    public async Task The_watcher_tells_of_descriptors_and_of_times()
    {
        using Watcher watcher = new();
        using Linux.EventFd bell = Linux.EventFd.Create();

        Assert.False(await watcher.ReadableAsync(bell.Descriptor, 20, default));
        Task<bool> rung = watcher.ReadableAsync(bell.Descriptor, -1, default);
        bell.Signal();
        Assert.True(await rung);
        Assert.True(await watcher.ReadableAsync(bell.Descriptor, 0, default)); // it is still ringing
        bell.Drain();
        using CancellationTokenSource cancel = new(20);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => watcher.ReadableAsync(bell.Descriptor, -1, cancel.Token));
    }
}
