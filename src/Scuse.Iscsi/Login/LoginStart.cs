namespace Scuse.Iscsi.Login;

/// <summary>A login as far as one server has brought it before another goes on: to the first request that is whole, which no answer was given to.</summary>
/// <param name="Request">The last PDU of that request, without its data.</param>
/// <param name="Text">The whole request's text, which may have come in several PDUs.</param>
/// <param name="Requests">How many PDUs they were.</param>
/// <param name="CmdSN">The number of the session's first command.</param>
internal sealed record LoginStart(byte[] Request, byte[] Text, int Requests, uint CmdSN)
{
    /// <summary>The number of the next response.</summary>
    public uint StatSN { get; init; }
}
