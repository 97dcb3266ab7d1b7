using System.Reflection;

namespace Scuse.Scsi.Tests;

public sealed class OperationNameTests
{
    [Theory]
    [InlineData("2A000000100000000800", "WRITE(10)")]
    [InlineData("9E10", "READ CAPACITY(16)")]
    [InlineData("9E1F", "SERVICE ACTION IN(16)")]
    [InlineData("9E", "SERVICE ACTION IN(16)")]
    [InlineData("A32A", "REPORT TARGET PORT GROUPS")]
    [InlineData("A406", "SET IDENTIFYING INFORMATION")]
    [InlineData("A40A", "SET TARGET PORT GROUPS")]
    [InlineData("A40F", "SET TIMESTAMP")]
    [InlineData("7F000000000000180009", "READ(32)")]
    [InlineData("7F00000000000018FFFF", "variable length CDB FFFFh")]
    [InlineData("7F0000", "variable length CDB")]
    [InlineData("C1", "operation code C1h")]
    [InlineData("", "no CDB")]
    public void A_command_has_the_name_that_the_standards_give_it(string cdb, string name) => Assert.Equal(name, OperationName.Of(Convert.FromHexString(cdb)));

    [Theory]
    [InlineData("2A000000100000000800", "WRITE(10) of 8 blocks at 4096")]
    [InlineData("9110000000000000000000000000", "SYNCHRONIZE CACHE(16)")]
    [InlineData("12", "INQUIRY")]
    public void What_it_is_about_is_told_where_the_CDB_names_blocks(string cdb, string text) => Assert.Equal(text, OperationName.Describe(Convert.FromHexString(cdb)));

    [Fact]
    public void Every_operation_code_that_has_a_constant_has_a_name_and_no_two_the_same()
    {
        string[] names = [.. typeof(OperationCode).GetFields(BindingFlags.Public | BindingFlags.Static).Select(field => OperationName.Of([(byte)field.GetRawConstantValue()!]))];

        Assert.DoesNotContain(names, name => name.StartsWith("operation code", StringComparison.Ordinal));
        Assert.Equal(names.Distinct(), names);
    }
}
