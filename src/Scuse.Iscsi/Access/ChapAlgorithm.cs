namespace Scuse.Iscsi.Access;

/// <summary>The hash functions of CHAP, by their numbers in CHAP_A: those of PPP's authentication algorithms. RFC 7143 section 12.1.3, RFC 1994.</summary>
public enum ChapAlgorithm
{
    /// <summary>MD5, which every initiator knows; broken as a hash, and to be turned off where all initiators know better.</summary>
    Md5 = 5,

    /// <summary>SHA-1.</summary>
    Sha1 = 6,

    /// <summary>SHA-256.</summary>
    Sha256 = 7,

    /// <summary>SHA3-256.</summary>
    Sha3 = 8,
}
