using Scuse.Serving;

namespace Scuse;

/// <summary>
/// A hold on the buffers of one command that outlives its answer: the initiator is served while the handler goes on reading what it sent, or keeps what it
/// returned. Make one, return it in <see cref="CommandResult.KeepBuffers"/>, and dispose of it once the memory is not needed any more.
/// </summary>
/// <remarks>
/// <para>Until then the command's buffers and its CDB stay as they are. Each kept command takes up an id and room in the data area, which the target has only
/// so much of: what is kept for long is better copied. Disposing may happen on any thread, at any time, even before the result is returned, and more than
/// once.</para>
/// <para>The hold survives the connection: when the target is gone, the memory is still there until it is disposed of.</para>
/// <para>A target that cannot do without the buffers (<see cref="CommandHandler.CanKeepBuffers"/> is false) gets the command's answer only when the hold is
/// disposed of. So the memory is safe either way, and what waits is the initiator.</para>
/// </remarks>
public sealed class KeptBuffers : IDisposable
{
    // What _holder is besides the slot that is held and null, which is a hold not used yet.
    static readonly object s_releasedEarly = new(), s_spent = new();

    object? _holder;

    /// <summary>Gives the buffers back. They must not be touched from here on.</summary>
    public void Dispose()
    {
        object? was = Interlocked.CompareExchange(ref _holder, s_releasedEarly, null);
        if (was is CommandSlot slot && Interlocked.CompareExchange(ref _holder, s_spent, slot) == slot)
        {
            slot.ReleaseKept();
        }
    }

    /// <summary>Starts the hold on a command's buffers; false when it was disposed of already. From a true on, <see cref="CommandSlot.ReleaseKept"/> may be called at any time.</summary>
    /// <exception cref="InvalidOperationException">It holds, or held, the buffers of another command.</exception>
    internal bool TryHold(CommandSlot slot)
    {
        object? was = Interlocked.CompareExchange(ref _holder, slot, null);
        if (was is null)
        {
            return true;
        }

        return Interlocked.CompareExchange(ref _holder, s_spent, s_releasedEarly) == s_releasedEarly
            ? false
            : throw new InvalidOperationException("a KeptBuffers is for one command");
    }
}
