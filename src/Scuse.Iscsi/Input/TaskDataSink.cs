using Scuse.Iscsi.FullFeature;

namespace Scuse.Iscsi.Input;

/// <summary>Brings a data segment to the task it belongs to: to its memory, to a staging buffer, or nowhere. One per connection.</summary>
internal sealed class TaskDataSink(TransferOut transfer) : ISegmentSink
{
    IscsiTask? _task;
    bool _solicited;
    bool _final;
    bool _isSkipped;
    int _offset;

    /// <summary>Starts with a segment of a task; <paramref name="final"/> is its F bit.</summary>
    public ISegmentSink Begin(IscsiTask task, bool solicited, bool final)
    {
        _task = task;
        _solicited = solicited;
        _final = final;
        _isSkipped = task.LacksData;
        _offset = task.NextOffset;
        task.SegmentOpen = true;
        return this;
    }

    public void Store(ReadOnlySpan<byte> bytes)
    {
        if (_task is { } task && !_isSkipped)
        {
            transfer.Store(task, bytes);
        }
    }

    public int GetBuffers(Span<Memory<byte>> buffers, int remaining) =>
        _task is { } task && !_isSkipped ? transfer.GetBuffers(task, buffers, remaining) : 0;

    public void Advance(int count)
    {
        if (_task is { } task)
        {
            transfer.Advance(task, count);
        }
    }

    public void End()
    {
        if (_task is { } task)
        {
            _task = null;
            task.SegmentOpen = false;
            transfer.SegmentEnded(task, _solicited, _final);
        }
    }

    public void Discard()
    {
        if (_task is { } task)
        {
            _task = null;
            task.SegmentOpen = false;
            transfer.SegmentLost(task, _offset, _solicited, _final);
        }
    }

    /// <summary>The task is no more: what still comes of the segment is dropped.</summary>
    public void Forget(IscsiTask task)
    {
        if (_task == task)
        {
            _task = null;
        }
    }

    /// <summary>The same, and what came of the segment does not count: the connection is gone in the middle of it.</summary>
    public void TakeBack(IscsiTask task)
    {
        if (_task == task)
        {
            _task = null;
            TransferOut.MoveTo(task, _offset);
        }
    }
}
