using System.Threading.Tasks.Sources;
using Scuse.Scsi;

namespace Scuse.Engine.Backstores;

/// <summary>A read, write or other command that the engine's device server has the handler do. Pooled: it goes back when its result is taken, once.</summary>
/// <remarks>Touched only by the owning reactor; what waits for it goes on there, inside the reaping.</remarks>
/// <param name="pool">Where it goes back.</param>
sealed class DeviceCall(Stack<DeviceCall> pool) : IValueTaskSource<ScsiResult>
{
    const int MaxCdbLength = 16;

    readonly byte[] _cdb = new byte[MaxCdbLength];
    int _cdbLength;
    byte[] _parameters = [];
    Memory<byte>[]? _parameterPiece;
    ManualResetValueTaskSourceCore<ScsiResult> _core;

    public ReadOnlySpan<byte> Cdb => _cdb.AsSpan(0, _cdbLength);

    /// <summary>The data for the handler.</summary>
    public DataBuffer From { get; set; }

    /// <summary>Where the handler's data goes.</summary>
    public DataBuffer Into { get; set; }

    /// <summary>To be asked for once the call is under way, and to be awaited once.</summary>
    public ValueTask<ScsiResult> Completion => new(this, _core.Version);

    /// <summary>Room for the CDB, all zero.</summary>
    public Span<byte> SetCdb(int length = MaxCdbLength)
    {
        _cdbLength = length;
        Span<byte> cdb = _cdb.AsSpan(0, length);
        cdb.Clear();
        return cdb;
    }

    /// <summary>Room for a parameter list of the call's own, which becomes <see cref="From"/>.</summary>
    public Span<byte> SetParameters(int length)
    {
        if (_parameters.Length < length)
        {
            _parameters = new byte[length];
            _parameterPiece = [_parameters];
        }

        From = new DataBuffer(_parameterPiece!, 1, length);
        return _parameters.AsSpan(0, length);
    }

    public void Complete(ScsiResult result) => _core.SetResult(result);

    public ScsiResult GetResult(short token)
    {
        ScsiResult result = _core.GetResult(token);
        _core.Reset();
        From = Into = default;
        pool.Push(this);
        return result;
    }

    public ValueTaskSourceStatus GetStatus(short token) => _core.GetStatus(token);

    public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _core.OnCompleted(continuation, state, token, flags);
}
