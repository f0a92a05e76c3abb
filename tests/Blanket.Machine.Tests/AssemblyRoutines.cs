using System;
using System.Diagnostics;
using System.IO;
using System.Runtime.InteropServices;

namespace Blanket.Machine.Tests;

/// <summary>L1's own assembly in this process: sources that need nothing else of L1, assembled and linked as the image's are.</summary>
public sealed class AssemblyRoutines : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory().FullName;
    private readonly nint _library;

    public AssemblyRoutines()
    {
        string[] names = ["memory", "ones_complement"];
        foreach (string name in names)
        {
            Run("as", "--fatal-warnings", "-o", Path.Combine(_directory, name + ".o"), Path.Combine(AppContext.BaseDirectory, name + ".S"));
        }

        string file = Path.Combine(_directory, "routines.so");
        // Symbolic: memmove is to be L1's, not this process's.
        Run("ld.lld", ["-shared", "-Bsymbolic", "-o", file, .. Array.ConvertAll(names, name => Path.Combine(_directory, name + ".o"))]);
        _library = NativeLibrary.Load(file);
    }

    /// <summary>The address of a routine.</summary>
    public nint Find(string name) => NativeLibrary.GetExport(_library, name);

    public void Dispose()
    {
        NativeLibrary.Free(_library);
        Directory.Delete(_directory, recursive: true);
    }

    private static void Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(program, arguments);
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
    }
}
