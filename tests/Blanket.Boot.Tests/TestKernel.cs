using System;
using System.Globalization;
using System.IO;
using System.Linq;

namespace Blanket.Boot.Tests;

/// <summary>Guests with the test kernel (src/Blanket.TestKernel).</summary>
internal static class TestKernel
{
    private const int DefaultMemoryMiB = 16;

    private static string Image => Path.Combine(Path.GetDirectoryName(BootDirectory.Image)!, "testkernel.elf");

    /// <summary>Writes a configuration with little memory.</summary>
    /// <returns>Its path.</returns>
    internal static string Write(BootDirectory directory, string name, string commandLine, params string[] settings) =>
        Write(directory, name, DefaultMemoryMiB, commandLine, settings);

    /// <summary>Writes a configuration.</summary>
    /// <param name="directory">Of the test.</param>
    /// <param name="name">The guest's name; that of its log.</param>
    /// <param name="memoryMiB">Its memory; less than 2048 if it is to run: the kernel maps all of it into the last 2 GiB of addresses.</param>
    /// <param name="commandLine">What the kernel does (Blanket.TestKernel, Main.cs).</param>
    /// <param name="settings">Further lines.</param>
    /// <returns>Its path.</returns>
    internal static string Write(BootDirectory directory, string name, int memoryMiB, string commandLine, params string[] settings)
    {
        Assert.True(File.Exists(Image), $"there is no {Image}: build it with dotnet build src/Blanket.TestKernel -p:Flavour=metal");
        string[] lines =
        [
            $"name = \"{name}\"",
            "type = \"pv\"",
            string.Create(CultureInfo.InvariantCulture, $"memory = {memoryMiB}"),
            $"kernel = \"{Image}\"",
            $"cmdline = \"{commandLine}\"",
            .. settings,
        ];
        return directory.Write(name + ".cfg", string.Concat(lines.Select(line => line + "\n")));
    }

    /// <summary>Fails, naming them, when a guest's log tells of checks that failed; or when it does not tell that all passed.</summary>
    internal static void RequireChecks(BootDirectory directory, string name)
    {
        string[] lines = [.. directory.ReadLog(name).Split('\n').Select(line => line.TrimEnd())];
        string[] failed = [.. lines.Where(line => line.StartsWith("check failed: ", StringComparison.Ordinal))];
        Assert.True(failed.Length == 0, $"{name}: {failed.Length} checks failed, first '{failed.FirstOrDefault()}' (logs: {directory.Root})");
        Assert.True(
            lines.Any(line => line.StartsWith("testkernel: checks passed ", StringComparison.Ordinal) && line.EndsWith(", failed 0", StringComparison.Ordinal)),
            $"{name}.log does not tell that all checks passed, its last line is '{lines.LastOrDefault(line => line.Length > 0)}' (logs: {directory.Root})");
    }
}
