using Scuse.Iscsi.Access;

namespace Scuse.Iscsi.Negotiation;

/// <summary>What a login has proved.</summary>
/// <param name="User">The initiator's CHAP user.</param>
/// <param name="Algorithm">By which hash.</param>
/// <param name="IsMutual">Whether the target has proved who it is, too.</param>
internal sealed record Authenticated(ChapUser User, ChapAlgorithm Algorithm, bool IsMutual);
