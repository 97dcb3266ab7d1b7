namespace Scuse.Cli;

/// <summary>What the command's exit code says.</summary>
static class ExitCodes
{
    /// <summary>It ran and ended in order.</summary>
    public const int Success = 0;

    /// <summary>The environment did not let it: a port in use, a file that cannot be opened, a handler that does not come up.</summary>
    public const int Failure = 1;

    /// <summary>The command line is at fault.</summary>
    public const int Usage = 2;
}
