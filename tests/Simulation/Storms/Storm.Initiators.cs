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

/// <remarks>What initiators send, and the task management and lost sessions that they bring about.</remarks>
sealed partial class Storm
{
    void Send()
    {
        Session session = _sessions[_random.Next(_sessions.Count)];
        if (session.Open.Count < _options.QueueDepth && !_isQuiet)
        {
            Send(session, NextKind(), _random.Next(StormOptions.Blocks), _random.Next(5) == 0 ? _random.Next(1, 25) : _random.Next(1, 5));
        }
    }

    OperationKind NextKind()
    {
        bool isIo = _options.Level == PassLevel.Io;
        return _random.Next(44) switch
        {
            < 14 => OperationKind.Read,
            < 30 => OperationKind.Write,
            < 33 => OperationKind.Flush,
            < 35 => OperationKind.Unmap,
            35 => isIo ? OperationKind.WriteSame : OperationKind.Read,
            36 => isIo ? OperationKind.WriteAndVerify : OperationKind.Write,
            37 => isIo ? OperationKind.Verify : OperationKind.Read,
            < 42 => isIo ? OperationKind.CompareAndWrite : OperationKind.Write,
            _ => OperationKind.Other,
        };
    }

    TaskAttribute NextAttribute() => _random.Next(40) switch
    {
        0 => TaskAttribute.Ordered,
        1 => TaskAttribute.HeadOfQueue,
        < 8 => TaskAttribute.Untagged,
        _ => TaskAttribute.Simple,
    };

    Operation Send(Session session, OperationKind kind, int block, int blocks)
    {
        bool hasRange = kind is not (OperationKind.Flush or OperationKind.Other);
        blocks = !hasRange ? 0 : kind == OperationKind.CompareAndWrite ? 1 : Math.Min(blocks, StormOptions.Blocks - block);
        var operation = new Operation
        {
            Number = ++_operations,
            Kind = kind,
            FirstBlock = block,
            Blocks = blocks,
            Session = session,
            InvokedAt = ++_clock,
            LimitStartMs = _now,
            Attribute = NextAttribute(),
            // What an initiator knows that has just read it, or read it before the last write.
            Expected = _random.Next(3) == 0 ? _medium.ReadStale(block) : _medium.Read(block),
        };
        operation.IsTainted = _attached is { IsHostile: true };
        operation.MetLazy = _attached is { IsLazy: true };

        ScsiTask task = _target.Rent(session.Nexus);
        task.Transport = session;
        task.TransportState = operation;
        task.Nexus = session.Nexus;
        task.Lun = LunAddress.Format(0);
        task.Attribute = _options.Fault == StormFault.ForgetOrder ? TaskAttribute.Simple : operation.Attribute;
        int bytes = blocks * StormOptions.BlockSize;
        byte[] cdb = new byte[kind is OperationKind.WriteSame or OperationKind.CompareAndWrite ? 16 : 10];
        (byte code, int dataOut, int dataIn) = kind switch
        {
            OperationKind.Read => (OperationCode.Read10, 0, bytes),
            OperationKind.Write => (OperationCode.Write10, bytes, 0),
            OperationKind.Flush => (OperationCode.SynchronizeCache10, 0, 0),
            OperationKind.Unmap => (OperationCode.Unmap, UnmapParameterList.LengthFor(1), 0),
            OperationKind.WriteSame => (OperationCode.WriteSame16, StormOptions.BlockSize, 0),
            OperationKind.WriteAndVerify => (OperationCode.WriteAndVerify10, bytes, 0),
            OperationKind.Verify => (OperationCode.Verify10, 0, 0),
            OperationKind.CompareAndWrite => (OperationCode.CompareAndWrite, 2 * StormOptions.BlockSize, 0),
            _ => (_random.Next(2) == 0 ? OperationCode.TestUnitReady : (byte)0xC1, 0, 0),
        };
        cdb[0] = code;
        if (code == OperationCode.WriteSame16)
        {
            Cdb.WriteWriteSame16(cdb, (ulong)block, (uint)blocks);
        }
        else if (code == OperationCode.Unmap)
        {
            Cdb.WriteUnmap10(cdb, (ushort)dataOut);
        }
        else if (code == OperationCode.CompareAndWrite)
        {
            (cdb[9], cdb[13]) = ((byte)block, 1);
        }
        else if (hasRange)
        {
            (cdb[5], cdb[8]) = ((byte)block, (byte)blocks);
        }

        task.ExpectedDataOut = dataOut;
        task.ExpectedDataIn = dataIn;
        task.SetCdb(cdb.AsSpan(0, code == OperationCode.TestUnitReady ? 6 : cdb.Length));
        operation.Task = task;
        session.Open.Add(operation);
        _mostUnderWay = Math.Max(_mostUnderWay, _limbo.Count + _sessions.Sum(static session => session.Open.Count + session.Sending.Count));
        Begin(operation);
        Counts.Sent++;
        NoteOf(operation, "sent");
        _target.Begin(task);
        return operation;
    }

    /// <summary>The block histories hear of it.</summary>
    void Begin(Operation operation)
    {
        if (operation.Kind is OperationKind.Read or OperationKind.CompareAndWrite)
        {
            operation.Views = [.. BlocksOf(operation).Select(block => _history[block].ReadBegins(operation))];
        }
        else if (operation.Kind == OperationKind.Flush)
        {
            operation.Views = [.. _history.Select(static history => history.FlushBegins())];
        }

        if (operation.Writes)
        {
            foreach (int block in BlocksOf(operation))
            {
                _history[block].WriteBegins(operation);
                operation.Session!.Seen.Add(operation.ValueAt(block));
            }
        }
    }

    static IEnumerable<int> BlocksOf(Operation operation) => Enumerable.Range(operation.FirstBlock, operation.Blocks);

    /// <summary>Some of a write's data comes, or the rest of it.</summary>
    void BringData()
    {
        Session session = _sessions[_random.Next(_sessions.Count)];
        Operation[] wanted = [.. session.Open.Where(static operation => operation.IsDataWanted)];
        if (wanted.Length > 0)
        {
            BringData(wanted[_random.Next(wanted.Length)], all: _random.Next(3) != 0);
        }
    }

    void BringData(Operation operation, bool all)
    {
        ScsiTask task = operation.Task!;
        int length = task.DataOutLength;
        if (operation.Kind == OperationKind.Unmap)
        {
            byte[] list = new byte[length];
            UnmapParameterList.Write(list, [new UnmapBlockDescriptor((ulong)operation.FirstBlock, (uint)operation.Blocks)]);
            task.DataOut.CopyFrom(list);
            operation.DataSent = length;
        }
        else
        {
            Span<ulong> words = stackalloc ulong[StormOptions.BlockSize / sizeof(ulong)];
            do
            {
                bool isCompared = operation.Kind == OperationKind.CompareAndWrite && operation.DataSent == 0;
                int block = operation.Kind == OperationKind.CompareAndWrite ? 0 : operation.DataSent / StormOptions.BlockSize;
                words.Fill(isCompared ? operation.Expected : operation.ValueAt(operation.FirstBlock + block));
                task.DataOut.CopyFrom(MemoryMarshal.AsBytes(words), operation.DataSent);
                operation.DataSent += StormOptions.BlockSize;
            }
            while (all && operation.DataSent < length);
        }

        if (operation.DataSent >= length)
        {
            operation.IsDataWanted = false;
            operation.LimitStartMs = _now;
            _target.DataArrived(task);
        }
    }

    /// <summary>An answer has been sent: its memory is given back.</summary>
    void FinishSending()
    {
        Session session = _sessions[_random.Next(_sessions.Count)];
        if (session.Sending.Count > 0)
        {
            FinishSending(session, _random.Next(session.Sending.Count));
        }
    }

    void FinishSending(Session session, int index)
    {
        Operation operation = session.Sending[index];
        session.Sending.RemoveAt(index);
        if (operation.Returned is { } returned && !operation.IsTainted && !Values(operation.Task!, returned.Length).SequenceEqual(returned))
        {
            throw new StormException($"{operation}: its data changed while it was being sent");
        }

        if (_options.Fault == StormFault.KeepMemory && !_memoryKept && Step > 50 && operation.Kind == OperationKind.Read)
        {
            _memoryKept = true;
            return;
        }

        operation.Task!.Release();
        operation.Task = null;
    }

    ulong[] Values(ScsiTask task, int blocks)
    {
        ulong[] values = new ulong[blocks];
        Span<byte> bytes = stackalloc byte[StormOptions.BlockSize];
        for (int i = 0; i < blocks; i++)
        {
            task.DataIn.CopyTo(bytes, i * StormOptions.BlockSize);
            Span<ulong> words = MemoryMarshal.Cast<byte, ulong>(bytes);
            values[i] = words.IndexOfAnyExcept(words[0]) < 0 ? words[0] : Torn;
        }

        return values;
    }


    // ---- task management, lost sessions ----

    void Manage()
    {
        Session session = _sessions[_random.Next(_sessions.Count)];
        TaskManagementFunction function = _random.Next(12) switch
        {
            < 8 => TaskManagementFunction.AbortTask,
            8 => TaskManagementFunction.AbortTaskSet,
            9 => TaskManagementFunction.ClearTaskSet,
            10 => TaskManagementFunction.LogicalUnitReset,
            _ => TaskManagementFunction.TargetWarmReset,
        };
        ScsiTask? referenced = session.Open.Count > 0 ? session.Open[_random.Next(session.Open.Count)].Task : null;
        _managing = new TaskManagementRequest { Nexus = session.Nexus, Transport = session, Function = function, Lun = LunAddress.Format(0), Referenced = referenced };
        _openManagement.Add(_managing);
        Note($"{function} of session {session.Number}");
        _target.Manage(_managing);
        if (_lanes.Length > 0)
        {
            _reactor.Turn(timeoutMs: 0); // it was put off until now
        }

        _managing = null;
    }

    public void Managed(TaskManagementRequest request) => Guarded(() =>
    {
        if (!_openManagement.Remove(request))
        {
            throw new StormException($"{request.Function} was answered twice");
        }

        for (int i = _limbo.Count - 1; i >= 0; i--)
        {
            if (_limbo[i].AbortedBy.Contains(request))
            {
                End(_limbo[i], Ending.Unknown);
                _limbo.RemoveAt(i);
            }
        }
    });

    /// <summary>
    /// Its commands may go on at the handler until that has let go of them, and nobody is told when: so what is sent from now on to the same blocks has to
    /// wait for that, whoever sends it. The initiator logs in again.
    /// </summary>
    void LoseSession(Session session)
    {
        Note($"session {session.Number} is lost with {session.Open.Count} commands");
        _sessions.Remove(session);
        Operation[] lost = [.. session.Open];
        foreach (Operation operation in lost)
        {
            operation.IsTold = true;
            operation.Task = null;
            End(operation, Ending.Unknown);
        }

        _target.Detach(session.Nexus);
        _openManagement.RemoveAll(request => request.Nexus == session.Nexus);
        while (session.Sending.Count > 0)
        {
            FinishSending(session, 0);
        }

        LogIn();
        if (_random.Next(2) == 0)
        {
            SendAgain(_sessions[^1], lost);
        }
    }

    /// <summary>What initiators do with the commands of a session that was lost: the new one has them all again, here with other data.</summary>
    void SendAgain(Session session, IReadOnlyList<Operation> lost)
    {
        Send(session, OperationKind.Other, 0, 0); // is told that the nexus is new
        foreach (Operation operation in lost)
        {
            if (operation.Kind is OperationKind.Read or OperationKind.Write)
            {
                Send(session, operation.Kind, operation.FirstBlock, operation.Blocks);
            }
        }
    }
}
