namespace Scuse.Engine.Backstores;

/// <summary>Whose bytes may stand in each block of a data area, so that a command gets for its Data-In no block with the bytes of another nexus.</summary>
/// <remarks>Covers the blocks that were ever touched; a block beyond is clean. Touched only by the owning reactor.</remarks>
sealed class BlockOwners
{
    /// <summary>Nobody's: nothing but zeros.</summary>
    public const uint Clean = 0;

    /// <summary>
    /// No single nexus's, so foreign to everybody, the next such command included: the bytes of several, or of the engine, which acts for this one and that.
    /// </summary>
    public const uint Foreign = uint.MaxValue;

    uint[] _owners = [];

    /// <summary>A command of this owner gets blocks for Data-Out, which it may not fill to the last byte.</summary>
    public void TakeForOut(int firstBlock, int count, uint owner)
    {
        Span<uint> owners = Cover(firstBlock, count);
        int i = owners.IndexOfAnyExcept(owner);
        if (i < 0)
        {
            return;
        }

        for (; i < owners.Length; i++)
        {
            owners[i] = owners[i] == Clean || owners[i] == owner ? owner : Foreign;
        }
    }

    /// <summary>
    /// A command of this owner gets blocks for Data-In, and they count as its own from now on. Finds the next stretch among them that holds somebody else's bytes:
    /// it has to be cleared.
    /// </summary>
    /// <param name="firstBlock">The first of the blocks.</param>
    /// <param name="count">How many they are.</param>
    /// <param name="owner">Whose they will be.</param>
    /// <param name="at">Where among them to look from; moves past the stretch that was found. Start with 0, and go on until there is none.</param>
    /// <param name="dirtyCount">How many blocks before <paramref name="at"/> are to be cleared.</param>
    public bool TryTakeForIn(int firstBlock, int count, uint owner, ref int at, out int dirtyCount)
    {
        dirtyCount = 0;
        Span<uint> owners = Cover(firstBlock, count);
        if (owner != Foreign)
        {
            int other = owners[at..].IndexOfAnyExcept(owner);
            if (other < 0)
            {
                return false;
            }

            at += other;
        }

        while (at < owners.Length && !IsDirty(owners[at], owner))
        {
            owners[at++] = owner;
        }

        int start = at;
        while (at < owners.Length && IsDirty(owners[at], owner))
        {
            owners[at++] = owner;
        }

        dirtyCount = at - start;
        return dirtyCount > 0;
    }

    static bool IsDirty(uint last, uint owner) => last != Clean && (last != owner || owner == Foreign);

    /// <summary>Blocks have been given back to the system: they are clean.</summary>
    public void Forget(int firstBlock, int count)
    {
        int end = Math.Min(firstBlock + count, _owners.Length);
        if (end > firstBlock)
        {
            Array.Clear(_owners, firstBlock, end - firstBlock);
        }
    }

    Span<uint> Cover(int firstBlock, int count)
    {
        if (firstBlock + count > _owners.Length)
        {
            Array.Resize(ref _owners, (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)(firstBlock + count)));
        }

        return _owners.AsSpan(firstBlock, count);
    }
}
