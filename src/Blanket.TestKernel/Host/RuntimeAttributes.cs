using System;

// What Blanket.CoreLib has and ordinary .NET has not.
namespace System.Runtime;

/// <summary>Gives a method a symbol that assembly code can call.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class RuntimeExportAttribute(string entry) : Attribute
{
    public string EntryPoint { get; } = entry;
}

/// <summary>Binds an extern method to an assembly symbol.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class RuntimeImportAttribute(string dllName, string entry) : Attribute
{
    public string DllName { get; } = dllName;

    public string EntryPoint { get; } = entry;
}
