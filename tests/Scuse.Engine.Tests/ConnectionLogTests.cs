using Microsoft.Extensions.Logging;
using Scuse.Engine.Portals;

namespace Scuse.Engine.Tests;

public sealed class ConnectionLogTests : ILogger
{
    readonly List<string> _lines = [];

    IDisposable? ILogger.BeginScope<TState>(TState state) => null;

    bool ILogger.IsEnabled(LogLevel logLevel) => true;

    void ILogger.Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
        _lines.Add(formatter(state, exception));

    [Fact]
    public void A_flood_of_endings_is_summed_up_and_hides_no_refusal()
    {
        var log = new ConnectionLog(this);
        for (int i = 0; i < 10_000; i++)
        {
            log.Ended($"10.0.0.1:{i}", "logged out", nowMs: 1000);
        }

        log.Refused("10.0.0.2:1", "wrong secret", nowMs: 1000);
        log.Tick(nowMs: 2000);
        log.Tick(nowMs: 4000);

        Assert.Equal(ConnectionLog.Burst + 2, _lines.Count);
        Assert.Equal("connection from 10.0.0.2:1 refused: wrong secret", _lines[^2]);
        Assert.Equal("0 connections more were refused and 9800 more ended than there are lines for", _lines[^1]);
    }

    [Fact]
    public void After_a_rest_there_are_lines_again()
    {
        var log = new ConnectionLog(this);
        for (int i = 0; i < 1000; i++)
        {
            log.Refused("10.0.0.1:1", "wrong secret", nowMs: 1000);
        }

        _lines.Clear();
        for (int i = 0; i < 1000; i++)
        {
            log.Refused("10.0.0.1:1", "wrong secret", nowMs: 2000);
        }

        Assert.Equal(ConnectionLog.LinesPerSecond, _lines.Count);
    }
}
