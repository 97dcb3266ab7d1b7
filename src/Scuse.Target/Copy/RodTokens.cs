using System.Buffers.Binary;
using System.Security.Cryptography;
using Scuse.Device;
using Scuse.Scsi;

namespace Scuse.Target;

/// <summary>The tokens of a target: how long each lives, and what becomes of them.</summary>
/// <remarks>Touched only by the owning thread. They are gone with the engine: its next life knows none of them.</remarks>
sealed class RodTokens(ScsiTarget target)
{
    /// <summary>How many tokens an initiator port may have that can be used; one more cancels its oldest. A copy engine uses a token within moments of its making.</summary>
    public const int MaxPerInitiator = 32;

    /// <summary>How many there may be in all, each looked at by every write to its logical unit; beyond that none are made.</summary>
    public const int MaxValid = 512;

    /// <summary>How many that cannot be used any more are remembered, to say why.</summary>
    public const int MaxRemembered = 1024;

    readonly LinkedList<RodToken> _valid = new(), _over = new(); // the oldest first
    readonly Dictionary<ulong, RodToken> _byIdentifier = [];
    ulong _lastIdentifier;

    /// <summary>Makes a token; null where there are too many.</summary>
    public RodToken? Create(LogicalUnit source, IReadOnlyList<BlockRun> ranges, uint type, int inactivitySeconds, Nexus nexus)
    {
        ForgetExpired();
        RodToken[] own = [.. _valid.Where(token => token.Owner == nexus.InitiatorPort)];
        if (own.Length >= MaxPerInitiator)
        {
            End(own[0], RodTokenState.Cancelled);
        }

        if (_valid.Count >= MaxValid)
        {
            return null;
        }

        int seconds = inactivitySeconds == 0 ? ThirdPartyCopyLimits.DefaultTokenInactivitySeconds : inactivitySeconds;
        var token = new RodToken(source, ranges, type, ++_lastIdentifier, nexus.InitiatorPort, target.Randomness)
        {
            InactivityMs = seconds * 1000,
            ExpiresMs = target.NowMs + (seconds * 1000L),
            EndsMs = target.NowMs + (ThirdPartyCopyLimits.MaxTokenLifetimeSeconds * 1000L),
        };
        _valid.AddLast(token);
        _byIdentifier.Add(token.Identifier, token);
        source.Tokens.Add(token);
        return token;
    }

    /// <summary>The token that an initiator has shown, if it may be used; else null with why not. One of a logical unit that the nexus does not see is as unknown as one that never was.</summary>
    public RodToken? Find(ReadOnlySpan<byte> bytes, Nexus nexus, out ushort refusal)
    {
        ForgetExpired();
        ulong identifier = BinaryPrimitives.ReadUInt64BigEndian(bytes[RodToken.IdentifierOffset..]);
        if (!_byIdentifier.TryGetValue(identifier, out RodToken? token)
            || !CryptographicOperations.FixedTimeEquals(bytes, token.Bytes)
            || !target.UnitsVisibleTo(nexus).Contains(token.Source))
        {
            refusal = AdditionalSense.TokenUnknown;
            return null;
        }

        refusal = token.State switch
        {
            RodTokenState.Expired => AdditionalSense.TokenExpired,
            RodTokenState.Cancelled => AdditionalSense.TokenCancelled,
            RodTokenState.Deleted => AdditionalSense.TokenDeleted,
            _ => AdditionalSense.None,
        };
        return token.State == RodTokenState.Valid ? token : null;
    }

    /// <summary>Blocks may have changed: tokens that stand for any of them are good no more.</summary>
    public void Changed(LogicalUnit unit, in MediumRange blocks)
    {
        for (int i = unit.Tokens.Count - 1; i >= 0; i--)
        {
            if (unit.Tokens[i].Overlaps(blocks))
            {
                End(unit.Tokens[i], RodTokenState.Cancelled);
            }
        }
    }

    /// <summary>A copy begins that uses the token.</summary>
    public static void Use(RodToken token) => token.Users++;

    /// <summary>A copy that used the token is over.</summary>
    public void Used(RodToken token, bool delete)
    {
        token.Users--;
        token.ExpiresMs = target.NowMs + token.InactivityMs;
        if (delete && token.State == RodTokenState.Valid)
        {
            End(token, RodTokenState.Deleted);
        }
    }

    void ForgetExpired()
    {
        for (LinkedListNode<RodToken>? at = _valid.First, next; at is not null; at = next)
        {
            next = at.Next;
            if (at.Value.IsExpiredAt(target.NowMs))
            {
                End(at.Value, RodTokenState.Expired);
            }
        }
    }

    void End(RodToken token, RodTokenState state)
    {
        token.End(state);
        token.Source.Tokens.Remove(token);
        _valid.Remove(token);
        _over.AddLast(token);
        if (_over.Count > MaxRemembered)
        {
            _byIdentifier.Remove(_over.First!.Value.Identifier);
            _over.RemoveFirst();
        }
    }
}
