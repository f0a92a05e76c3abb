using System.Globalization;
using System.IO;
using System.Linq;

namespace Blanket.Boot.Tests;

/// <summary>Guests with the test kernel (src/Blanket.TestKernel).</summary>
internal static class TestKernel
{
    private const int MemoryMiB = 16;

    private static string Image => Path.Combine(Path.GetDirectoryName(BootDirectory.Image)!, "testkernel.elf");

    /// <summary>Writes a configuration.</summary>
    /// <param name="directory">Of the test.</param>
    /// <param name="name">The guest's name; that of its log.</param>
    /// <param name="commandLine">What the kernel does (Blanket.TestKernel, Main.cs).</param>
    /// <param name="settings">Further lines.</param>
    /// <returns>Its path.</returns>
    internal static string Write(BootDirectory directory, string name, string commandLine, params string[] settings)
    {
        Assert.True(File.Exists(Image), $"there is no {Image}: build it with dotnet build src/Blanket.TestKernel -p:Flavour=metal");
        string[] lines =
        [
            $"name = \"{name}\"",
            "type = \"pv\"",
            string.Create(CultureInfo.InvariantCulture, $"memory = {MemoryMiB}"),
            $"kernel = \"{Image}\"",
            $"cmdline = \"{commandLine}\"",
            .. settings,
        ];
        return directory.Write(name + ".cfg", string.Concat(lines.Select(line => line + "\n")));
    }
}
