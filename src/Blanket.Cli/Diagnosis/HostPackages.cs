using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Blanket.Lab.Hosting;

namespace Blanket.Cli.Diagnosis;

/// <summary>A program of the host and the Debian package that has it.</summary>
/// <param name="Program">A name to be found in PATH, or an absolute path.</param>
/// <param name="Package">The package.</param>
/// <param name="Purpose">One word.</param>
internal sealed record HostPackage(string Program, string Package, string Purpose)
{
    private const string DebuggingPurpose = "debug";

    /// <summary>Whether runs and builds do without it.</summary>
    internal bool IsOptional => Purpose == DebuggingPurpose;

    /// <summary>Whether the program is there.</summary>
    internal bool IsPresent => Path.IsPathFullyQualified(Program) ? Path.Exists(Program) : Tool.Find(Program) is not null;
}

/// <summary>The list of packages, which ./blanket installs from.</summary>
internal static class HostPackages
{
    /// <summary>The list in build/host-packages.txt.</summary>
    internal static IReadOnlyList<HostPackage> Read() => Parse(File.ReadLines(Path.Combine(Project.Root, "build", "host-packages.txt")));

    /// <summary>Reads lines of three words; others are empty or start with #.</summary>
    internal static IReadOnlyList<HostPackage> Parse(IEnumerable<string> lines) =>
    [
        .. lines.Where(line => line.Length > 0 && line[0] != '#')
            .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .Select(words => new HostPackage(words[0], words[1], words[2])),
    ];
}
