using System;
using System.Globalization;
using System.Text;
using Blanket.Machine;
using FsCheck.Xunit;

namespace Blanket.Store.Tests;

public class PathBuilderTests
{
    [Fact]
    public void PutsPathsTogether()
    {
        PathBuilder path = new(stackalloc byte[64]);
        path.AppendHome(7);
        path.AppendName("device"u8);
        path.AppendName(51712);
        Assert.Equal("/local/domain/7/device/51712", Encoding.ASCII.GetString(path.Text));
        int parent = path.Length;
        path.AppendName("state"u8);
        path.Truncate(parent);
        path.AppendName("ring-ref"u8);
        Assert.Equal("/local/domain/7/device/51712/ring-ref", Encoding.ASCII.GetString(path.Text));
        path.Truncate(1000);
        Assert.Equal("/local/domain/7/device/51712/ring-ref", Encoding.ASCII.GetString(path.Text));
    }

    [Fact]
    public void OverflowEmptiesTheText()
    {
        PathBuilder path = new(stackalloc byte[5]);
        path.Append("/loca"u8);
        Assert.False(path.Overflowed);
        path.Append((byte)'l');
        Assert.True(path.Overflowed);
        Assert.True(path.Text.IsEmpty);
        PathBuilder other = new(stackalloc byte[5]);
        other.Append("/local"u8);
        Assert.True(other.Overflowed);
        Assert.True(other.Text.IsEmpty);
    }

    [Property]
    public bool DecimalsAreAsElsewhere(ulong number)
    {
        PathBuilder text = new(stackalloc byte[PathBuilder.DecimalMax]);
        text.AppendDecimal(number);
        return Encoding.ASCII.GetString(text.Text) == number.ToString(CultureInfo.InvariantCulture)
            && DecimalNumber.TryParse(text.Text, ulong.MaxValue, out ulong back) && back == number;
    }

    [Theory]
    [InlineData(0ul, "0")]
    [InlineData(9ul, "9")]
    [InlineData(10ul, "10")]
    [InlineData(ulong.MaxValue, "18446744073709551615")]
    [InlineData(10000000000000000000ul, "10000000000000000000")]
    public void DecimalsAtTheEdges(ulong number, string expected)
    {
        PathBuilder text = new(stackalloc byte[PathBuilder.DecimalMax]);
        text.AppendDecimal(number);
        Assert.Equal(expected, Encoding.ASCII.GetString(text.Text));
    }

    [Theory]
    [InlineData(0ul, 1, "0")]
    [InlineData(0ul, 0, "0")]
    [InlineData(0ul, 4, "0000")]
    [InlineData(0xabcul, 1, "abc")]
    [InlineData(0xabcul, 6, "000abc")]
    [InlineData(0xa0b0ul, 2, "a0b0")]
    [InlineData(ulong.MaxValue, 16, "ffffffffffffffff")]
    public void Hexadecimals(ulong number, int digits, string expected)
    {
        PathBuilder text = new(stackalloc byte[16]);
        text.AppendHex(number, digits);
        Assert.Equal(expected, Encoding.ASCII.GetString(text.Text));
    }
}
