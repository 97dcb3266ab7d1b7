using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging.Abstractions;
using Scuse.Device;
using Scuse.Engine;
using Scuse.Engine.Backstores;
using Scuse.Engine.Reactors;
using Scuse.Ring;
using Scuse.Scsi;
using Scuse.Target;

namespace Scuse.Simulation.Storms;

/// <remarks>What initiators are told, and whether it may be so.</remarks>
sealed partial class Storm
{
    public void Completed(Session session, Operation operation, ScsiTask task)
    {
        if (_isOver)
        {
            return;
        }

        if (_options.Fault == StormFault.LoseAnswer && !_answerLost && Step > 50)
        {
            _answerLost = true;
            return;
        }

        Guarded(() =>
        {
            Tell(session, operation, task);
            if (_options.Fault == StormFault.AnswerTwice && Step > 50)
            {
                Tell(session, operation, task);
            }
        });
    }

    /// <summary>What is found while the engine calls does not go through it: some of its ways are asynchronous and would keep it. The step's end throws it.</summary>
    void Guarded(Action told)
    {
        try
        {
            told();
        }
        catch (StormException exception)
        {
            _found ??= exception;
        }
    }

    void Tell(Session session, Operation operation, ScsiTask task)
    {
        if (operation.IsTold)
        {
            throw new StormException($"{operation} was answered twice");
        }

        if (operation.AbortedBy.Count > 0)
        {
            throw new StormException($"{operation} was answered although its abort had been told");
        }

        if (!session.Nexus.IsAlive)
        {
            throw new StormException($"{operation} was answered to a session that is gone");
        }

        operation.IsTold = true;
        operation.IsDataWanted = false;
        session.Open.Remove(operation);
        session.Sending.Add(operation);
        CheckLimit(operation);
        CheckOrder(operation, task);
        if (operation.Kind == OperationKind.Read)
        {
            CheckRead(session, operation, task);
        }

        operation.IsGood = task.Status == ScsiStatus.Good;
        if (operation is { Kind: OperationKind.CompareAndWrite, IsGood: true, IsTainted: false, MetLazy: false })
        {
            CheckExchange(operation);
        }

        string outcome = task.Status == ScsiStatus.CheckCondition ? SenseData.Parse(task.Sense).ToString() : task.Status.ToString();
        Counts.Add(outcome);
        NoteOf(operation, $"told {outcome}{(operation.Returned is { } returned ? $": {string.Join(' ', returned.Select(static value => (value >> 16) & 0xFFFFFFFF))}" : "")}");
        bool isRefused = task.Status == ScsiStatus.CheckCondition && SenseData.Parse(task.Sense).Key is SenseKey.UnitAttention or SenseKey.Miscompare;
        End(operation, task.Status == ScsiStatus.Good && !operation.IsTainted ? Ending.Good
            // Of a compound command some parts may have been done before the next found no room.
            : isRefused || (task.Status == ScsiStatus.TaskSetFull && !operation.IsCompound) ? Ending.Refused
            : Ending.Unknown);
    }

    enum Ending
    {
        Good,
        Refused,
        Unknown,
    }

    /// <summary>Nothing of it happens any more, and its initiator knows how it went.</summary>
    void End(Operation operation, Ending ending)
    {
        if (!operation.IsOpen)
        {
            return;
        }

        operation.EndedAt = ++_clock;
        if (operation.Kind is OperationKind.Read or OperationKind.CompareAndWrite)
        {
            foreach (int block in BlocksOf(operation))
            {
                _history[block].ReadEnds(operation);
            }
        }

        if (operation.Kind == OperationKind.Flush && ending == Ending.Good)
        {
            for (int block = 0; block < _history.Length; block++)
            {
                _history[block].FlushIsDone(operation, operation.Views![block]);
            }
        }
        else if (operation.Writes)
        {
            foreach (int block in BlocksOf(operation))
            {
                switch (ending)
                {
                    case Ending.Good:
                        _history[block].WriteIsDone(operation);
                        _answeredWrites.Add((block, operation.ValueAt(block)));
                        break;
                    case Ending.Refused:
                        _history[block].WriteIsRefused(operation);
                        break;
                    default:
                        _history[block].WriteIsUnknown(operation);
                        break;
                }
            }

            if (_answeredWrites.Count > 200)
            {
                _answeredWrites.RemoveRange(0, 100);
            }
        }
    }

    /// <summary>A command that waits for the handler alone is answered within its time limit, give or take the clock's steps.</summary>
    void CheckLimit(Operation operation)
    {
        int limit = _options.Lun.CommandTimeoutMs;
        if (limit > 0 && operation.Kind is OperationKind.Read or OperationKind.Write && _now - operation.LimitStartMs > limit + _mostLeapMs + 64)
        {
            throw new StormException($"{operation} was answered {_now - operation.LimitStartMs} ms after its limit of {limit} ms had begun");
        }
    }

    /// <summary>What was executed had nothing before it by its task attribute. Nobody hears when the commands of a lost session end: they are not looked at.</summary>
    void CheckOrder(Operation operation, ScsiTask task)
    {
        if (task.Status != ScsiStatus.Good || operation.Attribute == TaskAttribute.HeadOfQueue)
        {
            return;
        }

        foreach (Operation other in _sessions.SelectMany(static session => session.Open))
        {
            bool goesBefore = other.Number < operation.Number
                && (operation.Attribute == TaskAttribute.Ordered || other.Attribute is TaskAttribute.Ordered or TaskAttribute.HeadOfQueue);
            if (goesBefore)
            {
                throw new StormException($"{operation} ({operation.Attribute}) was executed although {other} ({other.Attribute}) goes before it");
            }
        }
    }

    void CheckRead(Session session, Operation operation, ScsiTask task)
    {
        int blocks = Math.Min(task.DataInLength, operation.Blocks * StormOptions.BlockSize) / StormOptions.BlockSize;
        if (task.Status != ScsiStatus.Good)
        {
            return;
        }

        ulong[] values = Values(task, blocks);
        operation.Returned = values;
        if (operation.IsTainted)
        {
            return;
        }

        for (int i = 0; i < blocks; i++)
        {
            int block = operation.FirstBlock + i;
            if (operation.MetLazy)
            {
                // Filled by another handler, or not at all; at level all the initiator's parameter lists lie in the data area too.
                bool isOwn = session.Seen.Contains(values[i]) || (values[i] == Torn && _options.Level == PassLevel.All);
                if (!isOwn && !operation.Views![i].Exists(write => write.ValueAt(block) == values[i]))
                {
                    throw new StormException($"{operation}: the handler filled nothing, and block {block} shows {values[i]:X}, which another session had");
                }

                continue;
            }

            if (_history[block].ReadReturned(operation, operation.Views![i], block, values[i]) is { } possible)
            {
                throw new StormException($"{operation}: block {block} reads as {values[i]:X} (of #{(values[i] >> 16) & 0xFFFFFFFFFF}, medium {_medium.Read(block):X}); possible were {possible}");
            }

            session.Seen.Add(values[i]);
        }
    }

    /// <summary>The block held what it was to hold, and no other exchange has found the same there: every written value is one of its kind.</summary>
    void CheckExchange(Operation operation)
    {
        int block = operation.FirstBlock;
        if (_history[block].ReadReturned(operation, operation.Views![0], block, operation.Expected) is { } possible)
        {
            throw new StormException($"{operation}: block {block} compares equal to {operation.Expected:X}; possible were {possible}");
        }

        if (operation.Expected != Operation.Zero && !_exchanged.TryAdd((block, operation.Expected), operation))
        {
            throw new StormException($"{operation} and {_exchanged[(block, operation.Expected)]} have both found {operation.Expected:X} in block {block}");
        }
    }

    public void Aborted(Operation operation) => Guarded(() =>
    {
        if (operation.IsTold)
        {
            throw new StormException($"{operation} was aborted after it had been answered");
        }

        operation.IsTold = true;
        operation.IsDataWanted = false;
        operation.Session!.Open.Remove(operation);
        operation.Task = null;
        operation.AbortedBy.Add(_managing!);
        _limbo.Add(operation);
        NoteOf(operation, "aborted");
        Counts.Add("aborted");
    });
}
