using Scuse.Iscsi.FullFeature;

namespace Scuse.Iscsi.Output;

/// <summary>One run of bytes to send, and what its sending frees.</summary>
internal struct Piece
{
    public Memory<byte> Memory;

    /// <summary>Where it lies in the ring; -1 when it is elsewhere.</summary>
    public int RingOffset;

    /// <summary>The bytes of the ring it gives back.</summary>
    public int RingCost;

    /// <summary>The task whose memory is not needed any more once this is sent.</summary>
    public IscsiTask? LastOf;

    /// <summary>The task whose Data-In it is a part of, and where in that it begins; null for anything else.</summary>
    public IscsiTask? DataOf;
    public int DataOffset;

    /// <summary>The control PDU that is sent with it.</summary>
    public ControlPdu? Control;
}

/// <summary>The pieces to send, in order: a ring that grows when it must.</summary>
internal sealed class PieceQueue
{
    Piece[] _pieces = new Piece[64];
    int _first;

    public int Count { get; private set; }

    public ref Piece this[int index] => ref _pieces[(_first + index) & (_pieces.Length - 1)];

    public ref Piece Last => ref this[Count - 1];

    public void Add(in Piece piece)
    {
        if (Count == _pieces.Length)
        {
            var larger = new Piece[Count * 2];
            for (int i = 0; i < Count; i++)
            {
                larger[i] = this[i];
            }

            _pieces = larger;
            _first = 0;
        }

        Count++;
        Last = piece;
    }

    public Piece RemoveFirst()
    {
        ref Piece first = ref this[0];
        Piece piece = first;
        first = default;
        _first = (_first + 1) & (_pieces.Length - 1);
        Count--;
        return piece;
    }
}
