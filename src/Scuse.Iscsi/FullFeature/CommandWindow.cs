using System.Numerics;
using Scuse.Iscsi.Pdus;

namespace Scuse.Iscsi.FullFeature;

/// <summary>What is to happen with a numbered request.</summary>
internal enum Arrival
{
    /// <summary>It is next.</summary>
    Execute,

    /// <summary>It is ahead of a gap.</summary>
    Hold,

    /// <summary>It came before, or lies outside the window: RFC 7143 section 4.2.2.1 has it ignored silently.</summary>
    Ignore,
}

/// <summary>The command numbering of a session and its flow control: ExpCmdSN and MaxCmdSN. RFC 7143 section 4.2.2.1.</summary>
internal sealed class CommandWindow(int size, uint firstCmdSN)
{
    // A power of two, so that places stay unique where the numbers wrap around.
    readonly uint _mask = BitOperations.RoundUpToPowerOf2((uint)size) - 1;

    // One bit per place: numbers ahead of ExpCmdSN that were taken already. The window is never wider than its size, so places are unique.
    readonly bool[] _taken = new bool[BitOperations.RoundUpToPowerOf2((uint)size)];
    uint _maxCmdSN = unchecked(firstCmdSN + (uint)size - 1);

    public int Size => size;

    public uint ExpCmdSN { get; private set; } = firstCmdSN;

    /// <summary>Numbered tasks that have no answer yet: each takes a place in the window.</summary>
    public int Outstanding { get; private set; }

    /// <summary>ExpCmdSN plus the free places, less one; it never goes back. One less than ExpCmdSN says that the window is closed.</summary>
    public uint MaxCmdSN
    {
        get
        {
            uint now = unchecked(ExpCmdSN + (uint)size - (uint)Outstanding - 1);
            if (SerialNumber.IsBefore(_maxCmdSN, now))
            {
                _maxCmdSN = now;
            }

            return _maxCmdSN;
        }
    }

    public bool IsClosed => MaxCmdSN == unchecked(ExpCmdSN - 1);

    public Arrival Classify(uint cmdSN)
    {
        if (cmdSN == ExpCmdSN && !IsClosed)
        {
            return Arrival.Execute;
        }

        if (!SerialNumber.IsWithin(cmdSN, ExpCmdSN, MaxCmdSN) || _taken[Place(cmdSN)])
        {
            return Arrival.Ignore;
        }

        return Arrival.Hold;
    }

    /// <summary>The number was taken out of order, by a held request or by the abort of a command that never came.</summary>
    public void TakeAhead(uint cmdSN) => _taken[Place(cmdSN)] = true;

    /// <summary>Takes ExpCmdSN.</summary>
    public void Advance()
    {
        _taken[Place(ExpCmdSN)] = false;
        ExpCmdSN++;
    }

    /// <summary>Whether ExpCmdSN was taken out of order, so that it is next now.</summary>
    public bool NextIsTaken => _taken[Place(ExpCmdSN)];

    public void TaskStarted() => Outstanding++;

    public void TaskEnded() => Outstanding--;

    int Place(uint cmdSN) => (int)(cmdSN & _mask);
}
