namespace Scuse.Scsi;

/// <summary>Operation codes: the first byte of a CDB. SPC-4 annex E, SBC-3 clause 5.1.</summary>
public static class OperationCode
{
    /// <summary>TEST UNIT READY.</summary>
    public const byte TestUnitReady = 0x00;

    /// <summary>REQUEST SENSE.</summary>
    public const byte RequestSense = 0x03;

    /// <summary>FORMAT UNIT.</summary>
    public const byte FormatUnit = 0x04;

    /// <summary>REASSIGN BLOCKS.</summary>
    public const byte ReassignBlocks = 0x07;

    /// <summary>READ(6).</summary>
    public const byte Read6 = 0x08;

    /// <summary>WRITE(6).</summary>
    public const byte Write6 = 0x0A;

    /// <summary>INQUIRY.</summary>
    public const byte Inquiry = 0x12;

    /// <summary>MODE SELECT(6).</summary>
    public const byte ModeSelect6 = 0x15;

    /// <summary>RESERVE(6).</summary>
    public const byte Reserve6 = 0x16;

    /// <summary>RELEASE(6).</summary>
    public const byte Release6 = 0x17;

    /// <summary>MODE SENSE(6).</summary>
    public const byte ModeSense6 = 0x1A;

    /// <summary>START STOP UNIT.</summary>
    public const byte StartStopUnit = 0x1B;

    /// <summary>RECEIVE DIAGNOSTIC RESULTS.</summary>
    public const byte ReceiveDiagnosticResults = 0x1C;

    /// <summary>SEND DIAGNOSTIC.</summary>
    public const byte SendDiagnostic = 0x1D;

    /// <summary>PREVENT ALLOW MEDIUM REMOVAL.</summary>
    public const byte PreventAllowMediumRemoval = 0x1E;

    /// <summary>READ CAPACITY(10).</summary>
    public const byte ReadCapacity10 = 0x25;

    /// <summary>READ(10).</summary>
    public const byte Read10 = 0x28;

    /// <summary>WRITE(10).</summary>
    public const byte Write10 = 0x2A;

    /// <summary>WRITE AND VERIFY(10).</summary>
    public const byte WriteAndVerify10 = 0x2E;

    /// <summary>VERIFY(10).</summary>
    public const byte Verify10 = 0x2F;

    /// <summary>PRE-FETCH(10).</summary>
    public const byte PreFetch10 = 0x34;

    /// <summary>SYNCHRONIZE CACHE(10).</summary>
    public const byte SynchronizeCache10 = 0x35;

    /// <summary>READ DEFECT DATA(10).</summary>
    public const byte ReadDefectData10 = 0x37;

    /// <summary>WRITE BUFFER.</summary>
    public const byte WriteBuffer = 0x3B;

    /// <summary>READ BUFFER(10).</summary>
    public const byte ReadBuffer10 = 0x3C;

    /// <summary>READ LONG(10).</summary>
    public const byte ReadLong10 = 0x3E;

    /// <summary>WRITE LONG(10).</summary>
    public const byte WriteLong10 = 0x3F;

    /// <summary>WRITE SAME(10).</summary>
    public const byte WriteSame10 = 0x41;

    /// <summary>UNMAP.</summary>
    public const byte Unmap = 0x42;

    /// <summary>SANITIZE.</summary>
    public const byte Sanitize = 0x48;

    /// <summary>LOG SELECT.</summary>
    public const byte LogSelect = 0x4C;

    /// <summary>LOG SENSE.</summary>
    public const byte LogSense = 0x4D;

    /// <summary>MODE SELECT(10).</summary>
    public const byte ModeSelect10 = 0x55;

    /// <summary>RESERVE(10).</summary>
    public const byte Reserve10 = 0x56;

    /// <summary>RELEASE(10).</summary>
    public const byte Release10 = 0x57;

    /// <summary>MODE SENSE(10).</summary>
    public const byte ModeSense10 = 0x5A;

    /// <summary>PERSISTENT RESERVE IN.</summary>
    public const byte PersistentReserveIn = 0x5E;

    /// <summary>PERSISTENT RESERVE OUT.</summary>
    public const byte PersistentReserveOut = 0x5F;

    /// <summary>The variable length CDB, told apart by its service action.</summary>
    public const byte VariableLength = 0x7F;

    /// <summary>THIRD-PARTY COPY OUT (EXTENDED COPY and its relatives).</summary>
    public const byte ThirdPartyCopyOut = 0x83;

    /// <summary>THIRD-PARTY COPY IN (RECEIVE COPY RESULTS and its relatives).</summary>
    public const byte ThirdPartyCopyIn = 0x84;

    /// <summary>ATA PASS-THROUGH(16).</summary>
    public const byte AtaPassThrough16 = 0x85;

    /// <summary>READ(16).</summary>
    public const byte Read16 = 0x88;

    /// <summary>COMPARE AND WRITE.</summary>
    public const byte CompareAndWrite = 0x89;

    /// <summary>WRITE(16).</summary>
    public const byte Write16 = 0x8A;

    /// <summary>ORWRITE(16).</summary>
    public const byte OrWrite16 = 0x8B;

    /// <summary>READ ATTRIBUTE.</summary>
    public const byte ReadAttribute = 0x8C;

    /// <summary>WRITE ATTRIBUTE.</summary>
    public const byte WriteAttribute = 0x8D;

    /// <summary>WRITE AND VERIFY(16).</summary>
    public const byte WriteAndVerify16 = 0x8E;

    /// <summary>VERIFY(16).</summary>
    public const byte Verify16 = 0x8F;

    /// <summary>PRE-FETCH(16).</summary>
    public const byte PreFetch16 = 0x90;

    /// <summary>SYNCHRONIZE CACHE(16).</summary>
    public const byte SynchronizeCache16 = 0x91;

    /// <summary>WRITE SAME(16).</summary>
    public const byte WriteSame16 = 0x93;

    /// <summary>WRITE ATOMIC(16).</summary>
    public const byte WriteAtomic16 = 0x9C;

    /// <summary>SERVICE ACTION IN(16).</summary>
    public const byte ServiceActionIn16 = 0x9E;

    /// <summary>SERVICE ACTION OUT(16).</summary>
    public const byte ServiceActionOut16 = 0x9F;

    /// <summary>REPORT LUNS.</summary>
    public const byte ReportLuns = 0xA0;

    /// <summary>ATA PASS-THROUGH(12).</summary>
    public const byte AtaPassThrough12 = 0xA1;

    /// <summary>SECURITY PROTOCOL IN.</summary>
    public const byte SecurityProtocolIn = 0xA2;

    /// <summary>MAINTENANCE IN.</summary>
    public const byte MaintenanceIn = 0xA3;

    /// <summary>MAINTENANCE OUT.</summary>
    public const byte MaintenanceOut = 0xA4;

    /// <summary>READ(12).</summary>
    public const byte Read12 = 0xA8;

    /// <summary>WRITE(12).</summary>
    public const byte Write12 = 0xAA;

    /// <summary>WRITE AND VERIFY(12).</summary>
    public const byte WriteAndVerify12 = 0xAE;

    /// <summary>VERIFY(12).</summary>
    public const byte Verify12 = 0xAF;

    /// <summary>SECURITY PROTOCOL OUT.</summary>
    public const byte SecurityProtocolOut = 0xB5;

    /// <summary>READ DEFECT DATA(12).</summary>
    public const byte ReadDefectData12 = 0xB7;
}
