namespace Blanket.Machine.Tests;

public class AddressSpaceTests
{
    [Theory]
    [InlineData(0UL, 1UL, true)]
    [InlineData(0x00007fffffffffffUL, 1UL, true)]
    [InlineData(0x00007fffffffffffUL, 2UL, false)]
    [InlineData(0x0000800000000000UL, 1UL, false)]
    [InlineData(0xffff7fffffffffffUL, 1UL, false)]
    [InlineData(0xffff800000000000UL, 1UL, false)]
    [InlineData(0xffff87ffffffffffUL, 1UL, false)]
    [InlineData(0xffff880000000000UL, 1UL, true)]
    [InlineData(0xffff87fffffffffeUL, 4UL, false)]
    [InlineData(0xffffffffffffffffUL, 1UL, true)]
    [InlineData(0xffffffffffffffffUL, 2UL, false)]
    [InlineData(0UL, ulong.MaxValue, false)]
    [InlineData(0xffffffffffff0000UL, 0UL, true)]
    public void OnlyGuestRangesPass(ulong address, ulong length, bool expected) =>
        Assert.Equal(expected, AddressSpace.IsGuestRange(address, length));
}
