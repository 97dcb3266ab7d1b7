namespace Scuse.Iscsi.Login;

/// <summary>The stages of login, numbered as CSG and NSG are. RFC 7143 section 11.12.3.</summary>
internal enum LoginStage
{
    SecurityNegotiation = 0,
    OperationalNegotiation = 1,
    FullFeaturePhase = 3,
}

/// <summary>Which steps between stages the T, C, CSG and NSG fields may ask for.</summary>
internal static class LoginStages
{
    const int ReservedStage = 2;

    /// <summary>Whether a request with these fields is right while the login is in a stage; null for the first request, which chooses it.</summary>
    public static bool IsAllowed(LoginStage? current, bool transit, bool @continue, int csg, int nsg)
    {
        if (csg is not ((int)LoginStage.SecurityNegotiation or (int)LoginStage.OperationalNegotiation))
        {
            return false;
        }

        if (current is { } stage && (int)stage != csg)
        {
            return false;
        }

        if (!transit)
        {
            return true; // NSG is reserved
        }

        return !@continue && nsg > csg && nsg != ReservedStage;
    }
}
