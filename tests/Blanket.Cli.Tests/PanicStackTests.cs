using System.Threading;
using System.Threading.Tasks;
using Blanket.Cli.Running;

namespace Blanket.Cli.Tests;

public class PanicStackTests
{
    [Theory]
    [InlineData("Blanket_Kernel_Blanket_Kernel_Guests_GuestDevices__CreateConsole", "Blanket.Kernel.Guests.GuestDevices.CreateConsole")]
    [InlineData("Blanket_Core_Blanket_Core_Grants_GrantTable__Map_0", "Blanket.Core.Grants.GrantTable.Map_0")]
    [InlineData("enter_long_mode", "enter_long_mode")]
    [InlineData("??", "??")]
    public void MakesSymbolsReadable(string symbol, string expected) => Assert.Equal(expected, PanicStack.Readable(symbol));

    /// <summary>A program without symbols at these addresses: every address gets its line all the same.</summary>
    [Fact]
    public async Task DescribesEveryAddressOfTheStack()
    {
        PanicStack stack = new();
        stack.Add("blanket: memory at 0x100000");
        Assert.Empty(await stack.DescribeAsync("/bin/busybox", CancellationToken.None));
        stack.Add("blanket:   at 0xffff82d04020804d");
        stack.Add("blanket:   at 0xffff82d040209734 more");
        Assert.Equal(["?? (??:0)", "?? (??:0)"], await stack.DescribeAsync("/bin/busybox", CancellationToken.None));
    }
}
