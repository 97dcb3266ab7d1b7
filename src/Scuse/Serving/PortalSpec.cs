using System.Net;
using Scuse.Engine;

namespace Scuse.Cli.Serving;

/// <summary>A portal as the command line and the control interface write it: <c>ADDRESS:PORT[?advertise=HOST:PORT&amp;tls=CERTIFICATE&amp;key=KEY&amp;client-ca=AUTHORITIES]</c>; the files are in PEM.</summary>
static class PortalSpec
{
    public const string Usage = "ADDRESS:PORT[?advertise=HOST:PORT&tls=CERT.PEM&key=KEY.PEM&client-ca=CA.PEM]";

    const string Advertise = "advertise", Tls = "tls", Key = "key", ClientAuthority = "client-ca";

    /// <exception cref="FormatException">It is wrong; the message is one line for a person.</exception>
    public static PortalOptions Parse(string text) => Parse(text, Environment.CurrentDirectory);

    /// <param name="text">What was written.</param>
    /// <param name="folder">Where the files' paths begin.</param>
    /// <exception cref="FormatException">It is wrong; the message is one line for a person.</exception>
    public static PortalOptions Parse(string text, string folder)
    {
        HandlerSpec spec = HandlerSpec.Parse(text, Advertise, Tls, Key, ClientAuthority);
        string? certificate = File(spec, Tls, folder), key = File(spec, Key, folder), authority = File(spec, ClientAuthority, folder);
        if (certificate is null && (key ?? authority) is not null)
        {
            throw new FormatException($"portal '{text}' has {(key is null ? ClientAuthority : Key)} but no {Tls}");
        }

        return new PortalOptions(ParseAddress(spec.Main))
        {
            Advertised = spec.Get(Advertise),
            Tls = certificate is null ? null : new TlsOptions(certificate, key, authority),
        };
    }

    /// <summary>A portal as <see cref="Parse(string)"/> takes it.</summary>
    public static string Format(PortalOptions portal)
    {
        string[] options =
        [
            .. portal.Advertised is { } advertised ? [$"{Advertise}={advertised}"] : Array.Empty<string>(),
            .. portal.Tls is { } tls ? [$"{Tls}={tls.CertificateFile}"] : Array.Empty<string>(),
            .. portal.Tls?.KeyFile is { } key ? [$"{Key}={key}"] : Array.Empty<string>(),
            .. portal.Tls?.ClientAuthorityFile is { } authority ? [$"{ClientAuthority}={authority}"] : Array.Empty<string>(),
        ];
        return options.Length == 0 ? portal.Address.ToString() : $"{portal.Address}?{string.Join('&', options)}";
    }

    static string? File(HandlerSpec spec, string key, string folder) => spec.Get(key) switch
    {
        "" => throw new FormatException($"{key} in '{spec.Text}' names no file"),
        { } path => Path.GetFullPath(path, folder), // the control interface's engine has another folder
        null => null,
    };

    /// <exception cref="FormatException">It is wrong; the message is one line for a person.</exception>
    public static IPEndPoint ParseAddress(string text) =>
        IPEndPoint.TryParse(text, out IPEndPoint? address) && text.Contains(':', StringComparison.Ordinal) && !IsBareIPv6(text)
            ? address
            : throw new FormatException($"portal '{text}' is not ADDRESS:PORT, such as 127.0.0.1:3260 or [::1]:3260");

    /// <summary>Without brackets nobody can tell where the address ends and the port begins.</summary>
    static bool IsBareIPv6(string text) => text[0] != '[' && IPAddress.TryParse(text, out IPAddress? address) && address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6;
}
