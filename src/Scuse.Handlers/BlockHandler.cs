using Scuse.Device;

namespace Scuse;

/// <summary>What goes with a write.</summary>
[Flags]
public enum WriteFlags
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>The data must be durable when the write completes (FUA).</summary>
    ForceUnitAccess = 1,
}

/// <summary>A disk: override reads and writes, and whatever else it can do better than the defaults.</summary>
/// <remarks>
/// <para>Offsets and lengths are in bytes, multiples of the block size and inside the device: that has been checked. A buffer is the shared
/// data area itself, and is valid until the returned task completes.</para>
/// <para>All methods of one device are called on one thread, a serving thread, one after another, unless <see cref="IsThreadSafe"/> says that this is not needed; a process with many devices has a few such threads. While
/// a FORMAT UNIT or SANITIZE writes the whole device, its calls come from other threads, one after another, and nearly no others come. A method that waits for a disk or a network should
/// return a task that is not complete yet, so that other commands go on. Any number of such tasks may be under way, in any overlap, and they
/// may complete on any thread and in any order. What completes at once costs no allocation.</para>
/// <para>Errors are exceptions. A <see cref="ScsiException"/> says what the initiator is told; any other becomes HARDWARE ERROR (04/44/00)
/// and is logged once for each kind.</para>
/// </remarks>
public abstract class BlockHandler
{
    /// <summary>The device as it was asked for; set before anything else is called, but after the constructor.</summary>
    protected internal DeviceInfo Device { get; internal set; } = new() { Name = "disk" };

    /// <summary>
    /// Capacity in bytes, a multiple of <see cref="BlockSize"/>; what was asked for unless overridden. Read once, after opening, and again after <see cref="SizeChanged"/>.
    /// </summary>
    public virtual long SizeBytes => Device.SizeBytes;

    /// <summary>Logical block length in bytes, 512 or 4096; what was asked for unless overridden. Read once, after opening.</summary>
    public virtual int BlockSize => Device.BlockSize;

    /// <summary>Whether it cannot be written; what the operator wants unless overridden. Read once, after opening.</summary>
    public virtual bool IsReadOnly => Device.ReadOnly;

    /// <summary>Whether what was written is gone with this process: such a handler is not replaced by another one unless the operator insists.</summary>
    public virtual bool IsVolatile => false;

    /// <summary>
    /// Whether methods may be called on several threads at once. A target that serves one disk with several of its threads has a ring from each of them; with true these rings are spread over
    /// the serving threads of this process, with false they are all on one. Read when a target attaches.
    /// </summary>
    /// <remarks>
    /// <para>With true, <see cref="ReadAsync"/>, <see cref="WriteAsync"/> and all other methods of commands, <see cref="Locate"/> and <see cref="OnTaskManagementAsync"/> come on up to as many
    /// threads as there are rings, two calls of the same method at the same time included, and also for the same blocks. Initiators may have overlapping commands under way, and expect of the result no more than
    /// that each block is as one of them made it: no block may be left half of one write and half of another, and no read may find a block half written.
    /// What completes before another call begins is seen by that call, whatever its thread: the target sees to the order of what an initiator ordered. A flush covers the writes that completed before
    /// it on any of the threads.</para>
    /// <para>Still called once, with no other call under way: opening, <see cref="CloseAsync"/>, and what is read once. Behind a kernel there is one ring, so nothing changes.</para>
    /// </remarks>
    public virtual bool IsThreadSafe => false;

    /// <summary>Product identification for INQUIRY, at most 16 ASCII characters; empty for the target's own.</summary>
    public virtual string Product => "";

    /// <summary>The most bytes that one command may move; 0 leaves it to the target.</summary>
    public virtual int MaxTransferBytes => 0;

    /// <summary>
    /// The most bytes that one call of <see cref="WriteAsync"/> stores all or none of, whatever fails meanwhile, a kill of the process and a loss of power included.
    /// Initiators are offered WRITE ATOMIC for so many; 0 promises nothing and offers none. That no read sees a part of such a write is not the handler's business.
    /// </summary>
    public virtual int AtomicWriteBytes => 0;

    /// <summary>
    /// Memory that the disk, or a part of it, stands in: reads of 4 KiB and more are then answered with a place in it, which <see cref="Locate"/> names, and the target sends them from there
    /// without a copy. Null: none. Read once, after opening; it has to stay until <see cref="CloseAsync"/>. A target that cannot have it leaves everything to <see cref="ReadAsync"/>.
    /// </summary>
    public virtual SharedMemory? OwnMemory => null;

    /// <summary>
    /// What it can do beyond reading and writing: found from which of <see cref="FlushAsync"/>, <see cref="UnmapAsync"/>,
    /// <see cref="WriteZeroesAsync"/>, <see cref="GetExtentAsync"/> and <see cref="GetResourcesAsync"/> are overridden. Override it where that depends on what lies beneath.
    /// </summary>
    public virtual BlockDeviceFeatures Features =>
        (Overrides(FlushAsync) ? BlockDeviceFeatures.Flush : BlockDeviceFeatures.None)
        | (Overrides((Func<long, long, CancellationToken, ValueTask>)UnmapAsync) ? BlockDeviceFeatures.Unmap : BlockDeviceFeatures.None)
        | (Overrides((Func<long, long, bool, CancellationToken, ValueTask>)WriteZeroesAsync) ? BlockDeviceFeatures.WriteZeroes : BlockDeviceFeatures.None)
        | (Overrides((Func<long, long, CancellationToken, ValueTask<BlockExtent>>)GetExtentAsync) ? BlockDeviceFeatures.Extents : BlockDeviceFeatures.None)
        | (Overrides((Func<CancellationToken, ValueTask<BlockResources>>)GetResourcesAsync) ? BlockDeviceFeatures.Resources : BlockDeviceFeatures.None);

    /// <summary>Fills all of <paramref name="into"/> from <paramref name="offset"/> on. What was never written reads as zeros.</summary>
    public abstract ValueTask ReadAsync(long offset, DataBuffer into, CancellationToken aborted);

    /// <summary>
    /// Where in <see cref="OwnMemory"/> the bytes of a read stand, in one piece; -1 if they do not, then <see cref="ReadAsync"/> is called instead. Called for reads of 4 KiB and more.
    /// </summary>
    /// <remarks>
    /// The target does not say when it has sent them. So a place may be named only where nothing else than these blocks ever stands, as it is now or as a later write makes it.
    /// What a write changes before they are sent is seen by this read or not; the target sees to it that it is not where an initiator may tell by the order of its commands.
    /// </remarks>
    public virtual long Locate(long offset, int length) => -1;

    /// <summary>Stores all of <paramref name="from"/> at <paramref name="offset"/>. Later reads see it; only a flush or FUA makes it durable.</summary>
    public abstract ValueTask WriteAsync(long offset, DataBuffer from, WriteFlags flags, CancellationToken aborted);

    /// <summary>
    /// Makes every write that completed before this call durable. A handler that does not override it says that its writes are as durable
    /// as they will ever be when they complete.
    /// </summary>
    public virtual ValueTask FlushAsync(CancellationToken aborted) => ValueTask.CompletedTask;

    /// <summary>Gives the range's room back; it reads as zeros afterwards. Without an override, initiators are not offered it.</summary>
    public virtual ValueTask UnmapAsync(long offset, long length, CancellationToken aborted) =>
        throw new NotSupportedException("UnmapAsync is not overridden, and Features says that it can be called");

    /// <summary>
    /// Makes the range read as zeros; with <paramref name="mayUnmap"/> its room may be given back as well. Without an override zeros are
    /// written with <see cref="WriteAsync"/>.
    /// </summary>
    public virtual ValueTask WriteZeroesAsync(long offset, long length, bool mayUnmap, CancellationToken aborted) =>
        throw new NotSupportedException("WriteZeroesAsync is not overridden, and Features says that it can be called");

    /// <summary>
    /// Whether what begins at <paramref name="offset"/> holds data or has been given back, and for how many of <paramref name="length"/> bytes that is so. Without an
    /// override initiators are told that all of it holds data, which is always true enough.
    /// </summary>
    public virtual ValueTask<BlockExtent> GetExtentAsync(long offset, long length, CancellationToken aborted) =>
        throw new NotSupportedException("GetExtentAsync is not overridden, and Features says that it can be called");

    /// <summary>
    /// How much room the disk takes up in its store, and how much more the store has for it. Initiators of a disk with <see cref="UnmapAsync"/> are told, and can have themselves warned before it
    /// is full. Without an override they are not.
    /// </summary>
    public virtual ValueTask<BlockResources> GetResourcesAsync(CancellationToken aborted) =>
        throw new NotSupportedException("GetResourcesAsync is not overridden, and Features says that it can be called");

    /// <summary>
    /// Tells of task management, LOGICAL UNIT RESET and the like, after the abort tokens of the commands concerned have been set. Commands go on meanwhile;
    /// nothing waits for the returned task but <see cref="CloseAsync"/>. What concerns the whole unit may be told once for each of the target's threads that serve it, with the commands of each.
    /// </summary>
    public virtual ValueTask OnTaskManagementAsync(TaskManagementNotice notice) => ValueTask.CompletedTask;

    /// <summary>
    /// The operator of a kernel's target wants another size: makes <see cref="SizeBytes"/> so, and completes. Initiators are told then. Without an override the operator hears that the disk cannot
    /// be resized. Commands go on meanwhile; called on any thread, once at a time.
    /// </summary>
    /// <param name="sizeBytes">A positive multiple of the block size.</param>
    /// <exception cref="NotSupportedException">It cannot have that size; the message is one line for a person.</exception>
    public virtual ValueTask ResizeAsync(long sizeBytes) => throw new NotSupportedException("this kind of disk cannot be resized");

    /// <summary>
    /// Lets go of what was opened, quickly: a successor may be waiting for it. Called once, last, when no other call is under way; writes without a flush may be
    /// lost, as on a real disk.
    /// </summary>
    public virtual ValueTask CloseAsync() => ValueTask.CompletedTask;

    /// <summary>
    /// Says that <see cref="SizeBytes"/> has another value now: initiators are told, without an interruption. Where the disk has become smaller, commands that were checked by the old size may
    /// still come; they fail as the handler has them fail. On any thread, from opening to closing.
    /// </summary>
    /// <exception cref="InvalidOperationException">The new size is not a positive multiple of the block size.</exception>
    protected void SizeChanged() => SizeHasChanged?.Invoke();

    /// <summary>Who is told that the size has changed.</summary>
    internal Action? SizeHasChanged { get; set; }

    static bool Overrides(Delegate method) => method.Method.DeclaringType != typeof(BlockHandler);

    static bool Overrides(Func<CancellationToken, ValueTask> method) => Overrides((Delegate)method);
}
